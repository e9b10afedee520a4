import type { Codec } from '@humancast/protocol';
import type { BandwidthEstimator, EstimateSource } from '../congestion/bandwidth-estimator.js';
import type { AudioPacket } from '../rtp/audio-packet.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import type { RepairBudget } from '../rtp/repair-budget.js';
import type { IceCredentials } from './stun.js';

export type MediaKind = 'audio' | 'video';

export type CloseReason =
  /** The viewer did not connect within `connectTimeoutMs`. */
  | 'connect-timeout'
  /** The DTLS handshake failed, or agreed on no SRTP profile. */
  | 'dtls-failed'
  /** Connected, and then nothing heard for `silenceTimeoutMs`. */
  | 'silent'
  /** The viewer's RTCP BYE or DTLS close_notify. */
  | 'closed-by-viewer'
  /** Our own `close()` without a reason. */
  | 'closed';

/** What a viewer's receiver report says about one track (RFC 3550 §6.4.1). */
export interface Feedback {
  kind: MediaKind;
  /** Since the last report, 0 to 1. */
  fractionLost: number;
  /** Since the start; can shrink when duplicates arrive. */
  packetsLost: number;
  /** Interarrival jitter in ticks of the track's RTP clock. */
  jitterTicks: number;
  /** Missing until the viewer has had a sender report. */
  roundTripMs: number | undefined;
}

export interface TransportEvents {
  /** Media can be sent now; `codec` is what the viewer chose of those that were offered. */
  connected(codec: Codec): void;
  /** Comes exactly once, also after our own `close()`, whose reason it then has. */
  closed(reason: CloseReason | string): void;
  /** The viewer's decoder is stuck until the next keyframe (PLI, RFC 4585 §6.3.1); at most once in 200 ms. */
  keyframeNeeded(): void;
  feedback(feedback: Feedback): void;
}

export interface TransportStats {
  /** RTP packets of both tracks, retransmitted ones included. */
  packetsSent: number;
  /** Of those packets, headers and payloads before encryption. */
  bytesSent: number;
  /** Packets that were not sent: not connected yet, the socket refused, or audio that might not leave any more. */
  packetsDropped: number;
  retransmitted: number;
  /** Their headers and payloads before encryption. */
  retransmittedBytes: number;
  /** Packets the viewer asked for again. */
  nacks: number;
  /** Audio packets sent, without retransmissions. */
  audioPackets: number;
  /** Earlier packets that these repeated (RED, RFC 2198), and the bytes that this has added. */
  redundantPackets: number;
  redundancyBytes: number;
  /** The parts of {@link retransmitted} and {@link nacks} that are audio. */
  audioRetransmitted: number;
  audioNacks: number;
  plis: number;
  roundTripMs: number | undefined;
  /** What the viewer's path carries, bits a second, and what that rests on. */
  estimateBps: number;
  estimateSource: EstimateSource;
  /** `address:port` of the viewer, or of its relay. */
  remoteAddress: string | undefined;
}

/**
 * One viewer's connection: an RTP sender of one video and one audio track, bundled. Events go to the listener given at
 * construction. Everything that sends is synchronous and never throws; before `connected` and after `closed` it drops.
 *
 * Candidates need no messages of their own: ours are few, known at once and in the description, and the viewer's are
 * not needed, because an ICE-lite agent (RFC 8445 §2.5) waits for the viewer's checks.
 */
export interface ViewerTransport {
  /** Given by the caller; names the connection in messages and logs. */
  readonly connection: string;
  /** Chosen by negotiation; `undefined` until an answer was accepted or made. */
  readonly codec: Codec | undefined;
  readonly state: 'new' | 'connecting' | 'connected' | 'closed';
  /** What may be sent again because the viewer asks: retransmissions are taken from it as well. */
  readonly repairs: RepairBudget;
  /** Smoothed; `undefined` until the viewer has answered a sender report. */
  readonly roundTripMs: number | undefined;
  /** How much the viewer's path carries. */
  readonly bandwidth: BandwidthEstimator;

  /** Send-only audio and video, with all candidates. */
  createOffer(): Promise<string>;
  /** @throws HumancastError `bad_sdp`, `no_common_codec`. */
  acceptAnswer(sdp: string): Promise<void>;
  /** Answers a viewer's own offer (WHEP); all candidates are in it. @throws HumancastError `bad_sdp`, `no_common_codec`. */
  answerOffer(sdp: string): Promise<string>;
  /**
   * Begins a new ICE session of a viewer that has made the offer (RFC 8445 §2.4). Media goes on meanwhile.
   * @param remote the viewer's new credentials.
   * @returns our own, and our candidates, as an SDP fragment (RFC 8840 §9).
   * @throws HumancastError `unavailable` without an ICE session.
   */
  restartIce(remote: IceCredentials): string;

  /**
   * @param rtpTicks the frame's time on the timeline, 90 kHz; may grow beyond 32 bits.
   * @param fromPacket,toPacket part of the frame's packets, to spread a large one over time: in order, `toPacket` not
   * included. The frame's last packet carries the marker.
   * @returns how many of them it took; fewer than it was given when media may not leave at this instant.
   */
  sendVideo(frame: PacketizedFrame, rtpTicks: number, fromPacket?: number, toPacket?: number): number;
  /** Video that was sent so far is not repeated on request any more: something else takes its place. */
  forgetVideo(): void;
  /** Repeats a packet of video only to probe the path. @returns its bytes; 0: there is none. */
  sendPadding(): number;
  /**
   * Sends an audio packet, with earlier ones repeated in it as far as losses call for it and the viewer takes that.
   * @returns `false` if media may not leave at this instant.
   */
  sendAudio(packet: AudioPacket): boolean;
  /** What audio takes of the path, bits a second, with what it repeats. */
  readonly audioBps: number;
  /**
   * Sender reports of both tracks: at the instant `ntp` (64-bit NTP timestamp, 32.32), the tracks stood at these ticks.
   * Belongs within 100 ms of the first packets, and then once a second.
   */
  sendReports(ntp: bigint, videoTicks: number, audioTicks: number): void;

  /** Once closed: as they were at the end; only what is dropped still counts. */
  stats(): TransportStats;
  /** Tells the viewer (RTCP BYE, DTLS close_notify) and frees everything. May be called twice. */
  close(reason?: string): void;
}
