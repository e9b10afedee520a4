import type { Codec } from '@humancast/protocol';
import type { BandwidthEstimator, EstimateSource } from '../congestion/bandwidth-estimator.js';
import type { HeardFrame } from '../receive/audio-receiver.js';
import type { AudioPacket } from '../rtp/audio-packet.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import type { RepairBudget } from '../rtp/repair-budget.js';
import type { IceCredentials } from './stun.js';

export type MediaKind = 'audio' | 'video';

export type CloseReason =
  /** The viewer did not connect within `connectTimeoutMs`. */
  | 'connect-timeout'
  /** The DTLS handshake failed, or no common SRTP profile was found. */
  | 'dtls-failed'
  /** Nothing was received for `silenceTimeoutMs` after the connection was established. */
  | 'silent'
  /** The viewer's RTCP BYE or DTLS close_notify. */
  | 'closed-by-viewer'
  /** Our own `close()` was called without a reason. */
  | 'closed';

/** A viewer's receiver report about one track (RFC 3550 §6.4.1). */
export interface Feedback {
  kind: MediaKind;
  /** Fraction lost since the last report, 0 to 1. */
  fractionLost: number;
  /** Packets lost since the start; may decrease when duplicates arrive. */
  packetsLost: number;
  /** Interarrival jitter in ticks of the track's RTP clock. */
  jitterTicks: number;
  /** `undefined` until the viewer has received a sender report. */
  roundTripMs: number | undefined;
}

export interface TransportEvents {
  /** Media can be sent now; `codec` is the offered codec that the viewer chose. */
  connected(codec: Codec): void;
  /** Called exactly once, also after our own `close()`, with its reason. */
  closed(reason: CloseReason | string): void;
  /** The viewer requests a keyframe (PLI, RFC 4585 §6.3.1). Called at most once in 200 ms. */
  keyframeNeeded(): void;
  feedback(feedback: Feedback): void;
  /** 20 ms of the viewer's voice, if its microphone was offered. */
  heard(frame: HeardFrame): void;
}

export interface TransportStats {
  /** RTP packets of both tracks, including retransmissions. */
  packetsSent: number;
  /** Headers and payloads of {@link packetsSent} before encryption. */
  bytesSent: number;
  /** Packets that were not sent: not connected yet, send buffer full, or audio without the right to send. */
  packetsDropped: number;
  retransmitted: number;
  /** Headers and payloads of {@link retransmitted} before encryption. */
  retransmittedBytes: number;
  /** Packets that the viewer requested again. */
  nacks: number;
  /** Audio packets sent, without retransmissions. */
  audioPackets: number;
  /** Earlier packets repeated in audio packets (RED, RFC 2198), and the bytes added by them. */
  redundantPackets: number;
  redundancyBytes: number;
  /** The audio part of {@link retransmitted} and {@link nacks}. */
  audioRetransmitted: number;
  audioNacks: number;
  plis: number;
  /** Audio packets received of the viewer's microphone, those that never came, and audio made up for them. */
  microphonePackets: number;
  microphoneLost: number;
  microphoneConcealedMs: number;
  roundTripMs: number | undefined;
  /** Estimated capacity of the viewer's path in bits per second, and the source of the estimate. */
  estimateBps: number;
  estimateSource: EstimateSource;
  /** `address:port` of the viewer or its relay. */
  remoteAddress: string | undefined;
}

/**
 * One viewer's connection: an RTP sender of one video and one audio track, bundled, and a receiver of the viewer's microphone
 * if it may speak. Events go to the listener given at
 * construction. All sending methods are synchronous and never throw; before `connected` and after `closed` they drop.
 *
 * Candidates need no messages of their own: ours are few, known at once and in the description, and the viewer's are not
 * needed, because an ICE-lite agent (RFC 8445 §2.5) waits for the viewer's checks.
 */
export interface ViewerTransport {
  /** Identifies the connection in messages and logs; given by the caller. */
  readonly connection: string;
  /** The negotiated codec; `undefined` until an answer was accepted or created. */
  readonly codec: Codec | undefined;
  readonly state: 'new' | 'connecting' | 'connected' | 'closed';
  /** Budget for retransmissions that the viewer requests. */
  readonly repairs: RepairBudget;
  /** Smoothed round trip time; `undefined` until the viewer has answered a sender report. */
  readonly roundTripMs: number | undefined;
  /** Estimates the capacity of the viewer's path. */
  readonly bandwidth: BandwidthEstimator;

  /** Creates an offer of audio and video with all candidates; the viewer may send audio only if it may speak. */
  createOffer(): Promise<string>;
  /** Accepts the viewer's answer. @throws HumancastError `bad_sdp`, `no_common_codec`. */
  acceptAnswer(sdp: string): Promise<void>;
  /** Answers a viewer's own offer (WHEP), with all candidates. @throws HumancastError `bad_sdp`, `no_common_codec`. */
  answerOffer(sdp: string): Promise<string>;
  /**
   * Begins a new ICE session with a viewer that made the offer (RFC 8445 §2.4). Media continues meanwhile.
   * @param remote the viewer's new credentials.
   * @returns our new credentials and candidates as an SDP fragment (RFC 8840 §9).
   * @throws HumancastError `unavailable` without an ICE session.
   */
  restartIce(remote: IceCredentials): string;

  /**
   * Sends a frame, or part of a large frame to spread it over time.
   * @param rtpTicks the frame's time on the timeline, 90 kHz; may exceed 32 bits.
   * @param fromPacket,toPacket the part of the frame's packets, in order, `toPacket` excluded. The frame's last packet
   * carries the marker.
   * @returns the number of packets taken; fewer than given if media may not be sent at this instant.
   */
  sendVideo(frame: PacketizedFrame, rtpTicks: number, fromPacket?: number, toPacket?: number): number;
  /** Stops retransmitting the video sent so far, because other video replaces it. */
  forgetVideo(): void;
  /** Repeats a video packet only to probe the path. @returns its bytes; 0 if there is none. */
  sendPadding(): number;
  /**
   * Sends an audio packet and repeats earlier ones in it, as losses require and the viewer supports.
   * @returns `false` if media may not be sent at this instant.
   */
  sendAudio(packet: AudioPacket): boolean;
  /** Bitrate of audio including redundancy, bits per second. */
  readonly audioBps: number;
  /**
   * Sends sender reports of both tracks: their positions in ticks at the instant `ntp` (64-bit NTP timestamp, 32.32). To be
   * called within 100 ms of the first packets, and then once a second.
   */
  sendReports(ntp: bigint, videoTicks: number, audioTicks: number): void;

  /** @returns the current statistics; once closed, the final ones, in which only dropped packets still count. */
  stats(): TransportStats;
  /** Tells the viewer (RTCP BYE, DTLS close_notify) and releases everything. May be called twice. */
  close(reason?: string): void;
}
