import { randomBytes } from 'node:crypto';
import { type Codec } from '@humancast/protocol';
import { type Clock, HumancastError, type Logger, systemClock } from '@humancast/shared';
import { BandwidthEstimator, type EstimateSource } from '../congestion/bandwidth-estimator.js';
import { AUDIO_BPS, REDUNDANCY_BPS, RedundancyControl } from '../congestion/redundancy-control.js';
import { MicrophoneReceiver } from '../receive/microphone-receiver.js';
import { isRtcp } from '../receive/rtp-header.js';
import type { AudioPacket } from '../rtp/audio-packet.js';
import {
  ABS_SEND_TIME_URI,
  CongestionExtension,
  type CongestionExtensionIds,
  TRANSPORT_SEQUENCE_URI,
} from '../rtp/congestion-extension.js';
import type { PacketCrypto } from '../rtp/packet-crypto.js';
import { NO_PICTURE_ID } from '../rtp/packet-history.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { AUDIO_REPAIR_LIMIT_BYTES, AUDIO_REPAIR_SHARE, RepairBudget } from '../rtp/repair-budget.js';
import { Retransmitter, VIDEO_HISTORY_PACKETS, VIDEO_MAX_AGE_BEFORE_KEYFRAME_TICKS } from '../rtp/retransmitter.js';
import { genericNack, goodbye, type ReceptionReport, type ReportBlock, readRtcp, senderReport } from '../rtp/rtcp.js';
import { RTP_HEADER_BYTES, RtpStream } from '../rtp/rtp-stream.js';
import { SrtpReceiver, SrtpSender } from '../rtp/srtp.js';
import { PICTURE_ID_MASK } from '../rtp/vp8-packetizer.js';
import type { DatagramProblem } from './datagram-problem.js';
import { DtlsEndpoint, type Fingerprint, fingerprintOf, processCertificate } from './dtls.js';
import { isDtls } from './dtls-records.js';
import { LEAST_LEVEL } from './h264-level.js';
import { IceLiteAgent } from './ice-lite.js';
import type { MediaSockets } from './media-sockets.js';
import { RoundTrip } from './round-trip.js';
import {
  AUDIO_FEEDBACK,
  type AudioFormat,
  chooseOpus,
  chooseVideo,
  EXTENSION_IDS,
  h264Offer,
  isBundled,
  type LocalMedia,
  type LocalParameters,
  opusFormats,
  parseDescription,
  type RemoteDescription,
  type RemoteMedia,
  VIDEO_FEEDBACK,
  type VideoFormat,
  videoFormats,
  writeDescription,
  writeIceFragment,
} from './sdp.js';
import type { IceCredentials } from './stun.js';
import { TokenBucket } from './token-bucket.js';
import type { CloseReason, MediaKind, TransportEvents, TransportStats, ViewerTransport } from './viewer-transport.js';

const OPUS_PAYLOAD_TYPE = 111;
/** The payload type that Chromium uses for RED; other browsers' offers do not use it for video. */
const RED_PAYLOAD_TYPE = 63;
/** Audio packets that can be retransmitted: 1280 ms. */
const AUDIO_HISTORY_PACKETS = 64;
/** Older audio packets arrive too late to be played: 800 ms, as for video. */
const AUDIO_MAX_AGE_TICKS = 38_400;
/** Payload type of the first offered video codec; its retransmissions have the next one, then follows the second codec. */
const FIRST_VIDEO_PAYLOAD_TYPE = 96;
const KEYFRAME_REQUEST_INTERVAL_MS = 200;
const WATCH_INTERVAL_MS = 250;
/** Rate of RTCP packets read. A browser sends a few a second, and some tens while packets are lost. */
const RTCP_RATE = { perSecond: 50, burst: 100 };
/** Rate of DTLS datagrams read. A handshake in small fragments that are retransmitted takes some tens. */
const DTLS_RATE = { perSecond: 100, burst: 200 };
/**
 * Maximum number of RTCP senders whose BYE counts. A viewer has one per track, and another after a collision (RFC 3550
 * §8.2).
 */
const MAX_REPORTERS = 8;
/** A viewer that sends nothing for this long after BYE has left; one that continues has only changed its SSRC. */
const BYE_MS = 1000;
/** Lifetime of consent (RFC 7675 §5.1). */
const SILENCE_TIMEOUT_MS = 30_000;
/** Without anything authentic for this long, our own check asks whether the viewer is there. */
const ASK_AFTER_MS = 4000;
/**
 * Number of silence time-outs for which STUN checks and indications alone keep a connection, because others can replay them;
 * after that, something authentic must come.
 */
const UNPROVEN_TIMEOUTS = 3;
/** Name of the stream and the RTCP CNAME: the same for both tracks of a viewer, so that the browser plays them in sync. */
const STREAM = 'humancast';

export interface WebRtcTransportOptions {
  readonly connection: string;
  /** In order of preference. */
  readonly codecs: readonly Codec[];
  /** The level named in an H.264 offer, `level_idc`. Default: 31. */
  readonly h264Level?: number;
  /** The process's sockets, and how packets are encrypted. */
  readonly sockets: MediaSockets;
  readonly connectTimeoutMs: number;
  /** A viewer without checks and reports for this long has gone. Default: 30000 (RFC 7675 §5.1). */
  readonly silenceTimeoutMs?: number;
  /** Called for each datagram that was ignored. */
  readonly onProblem?: (problem: DatagramProblem) => void;
  /**
   * Whether media may be sent at this instant; asked for each packet. Default: always. Once another process has the right to
   * send, nothing may be sent: no queued packet, no answer to a NACK, no report.
   */
  readonly maySend?: () => boolean;
  /** Whether the viewer may speak: then audio is offered in both directions. Default: false. */
  readonly microphone?: boolean;
  readonly logger: Logger;
  readonly clock?: Clock;
}

interface Negotiated {
  readonly fingerprints: readonly Fingerprint[];
  readonly ice: IceCredentials | undefined;
  readonly video: VideoFormat;
  /** `undefined` if the viewer wants no audio. */
  readonly opus: AudioFormat | undefined;
  /** SSRCs of the viewer's microphone; `undefined` if it sends none. */
  readonly microphone: readonly number[] | undefined;
  /** Header extension ids in each section, by URI. */
  readonly extensions: Readonly<Record<MediaKind, ReadonlyMap<string, number>>>;
}

/** The state needed for sending, once connected. */
interface Senders {
  readonly srtp: SrtpSender;
  readonly srtcp: SrtpReceiver;
  readonly microphone: MicrophoneReceiver | undefined;
  readonly video: RtpStream;
  readonly audio: RtpStream | undefined;
  /** All streams of the connection, including those of retransmissions. */
  readonly streams: readonly RtpStream[];
  readonly videoRetransmitter: Retransmitter;
  readonly audioRetransmitter: Retransmitter | undefined;
}

/** A viewer's connection over the process's UDP sockets: ICE-lite, werift's DTLS and our own packet path. */
export class WebRtcTransport implements ViewerTransport {
  readonly connection: string;
  readonly repairs = new RepairBudget();
  readonly bandwidth = new BandwidthEstimator();
  readonly #options: WebRtcTransportOptions;
  readonly #events: TransportEvents;
  readonly #clock: Clock;
  readonly #maySend: () => boolean;
  readonly #crypto: PacketCrypto;
  readonly #ice: IceLiteAgent;
  readonly #cname = randomBytes(12).toString('base64url');
  readonly #ssrc = { audio: randomSsrc(), video: randomSsrc() };
  readonly #rtxSsrc = { audio: randomSsrc(), video: randomSsrc() };
  readonly #redundancy = new RedundancyControl();
  readonly #roundTrip = new RoundTrip();
  readonly #startedAtMs: number;
  readonly #watch: NodeJS.Timeout;
  #state: ViewerTransport['state'] = 'new';
  #dtls: DtlsEndpoint | undefined;
  #dtlsEstablished = false;
  #negotiated: Negotiated | undefined;
  /** Whether an estimate includes audio. Firefox numbers only video packets, so what it reports is left over for video. */
  #isAudioEstimated: Readonly<Record<EstimateSource, boolean>> = ALL_ESTIMATES;
  /** Our `candidate:` lines. */
  #candidates: readonly string[] = [];
  /** The section that describes the transport in an ICE restart. */
  #tagged: Pick<RemoteMedia, 'kind' | 'protocol' | 'firstFormat' | 'mid'> | undefined;
  #senders: Senders | undefined;
  /** Set once closed. */
  #lastStats: TransportStats | undefined;
  #receivedAtMs = 0;
  /** Time of the last authenticated packet. */
  #authenticAtMs = 0;
  readonly #rtcpRate: TokenBucket;
  readonly #dtlsRate: TokenBucket;
  /** SSRCs that have sent reports. */
  readonly #reporters = new Set<number>();
  #byeAtMs: number | undefined;
  #failures = 0;
  #keyframeRequestedAtMs = Number.NEGATIVE_INFINITY;
  /** Picture id of the newest video frame: counted per viewer, because frames may be left out. */
  #pictureId = 0;
  #packetsDropped = 0;
  #audioPackets = 0;
  #redundantPackets = 0;
  #redundancyBytes = 0;
  readonly #nacks = { audio: 0, video: 0 };
  #plis = 0;

  constructor(options: WebRtcTransportOptions, events: TransportEvents) {
    this.connection = options.connection;
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock ?? systemClock;
    this.#crypto = options.sockets.packetPath.crypto;
    this.#maySend = options.maySend ?? (() => true);
    this.#startedAtMs = this.#clock.nowMs();
    const nowMs = () => this.#clock.nowMs();
    this.#rtcpRate = new TokenBucket(RTCP_RATE, nowMs);
    this.#dtlsRate = new TokenBucket(DTLS_RATE, nowMs);
    this.#ice = new IceLiteAgent(
      {
        sockets: options.sockets,
        maySend: this.#maySend,
        nowMs,
        onProblem: (problem) => this.#ignored(problem),
      },
      { datagram: (data) => this.#receive(data), alive: (authentic) => this.#noteReceived(authentic) },
    );
    this.#watch = setInterval(() => this.#attempt(() => this.#checkTimeouts()), WATCH_INTERVAL_MS);
  }

  get state(): ViewerTransport['state'] {
    return this.#state;
  }

  get codec(): Codec | undefined {
    return this.#negotiated?.video.codec;
  }

  get roundTripMs(): number | undefined {
    return this.#roundTrip.ms;
  }

  async createOffer(): Promise<string> {
    const local = await this.#prepare('actpass');
    const formats = this.#options.codecs.flatMap((codec, i) => {
      const payloadType = FIRST_VIDEO_PAYLOAD_TYPE + 2 * i;
      const parameters = codec === 'h264' ? h264Offer(this.#options.h264Level ?? LEAST_LEVEL) : undefined;
      return videoFormats({
        codec,
        payloadType,
        rtxPayloadType: payloadType + 1,
        feedback: VIDEO_FEEDBACK,
        parameters,
      });
    });
    const extensions = EXTENSION_IDS;
    const isSpeaker = this.#options.microphone ?? false;
    const opus = opusFormats(AUDIO_OFFER);
    // A browser sends the first format: redundancy repairs losses without a round trip.
    if (isSpeaker) opus.reverse();
    const media = [
      { ...this.#localMedia('audio', { mid: '0', reducedSize: true, extensions }, opus), receives: isSpeaker },
      this.#localMedia('video', { mid: '1', reducedSize: true, extensions }, formats, true),
    ];
    const bundle = media.map(({ mid }) => mid);
    return writeDescription(this.#sessionId(), local, media, bundle);
  }

  async acceptAnswer(sdp: string): Promise<void> {
    if (this.#negotiated) throw new HumancastError('bad_sdp', 'the offer has been answered already');
    const answer = parseDescription(sdp);
    this.#agree(this.#negotiate(answer, sections(answer)));
    this.#connectWhenReady();
  }

  async answerOffer(sdp: string): Promise<string> {
    const offer = parseDescription(sdp);
    const { audio, video } = sections(offer);
    const negotiated = this.#negotiate(offer, { audio, video });
    const local = await this.#prepare('passive');
    this.#agree(negotiated);
    this.#tagged = offer.media.find(({ mid }) => mid !== '' && mid === offer.bundle[0]) ?? video;
    const { opus } = negotiated;
    const media = offer.media.map((section) => {
      if (section === video) {
        const { rtxPayloadType } = negotiated.video;
        return this.#localMedia('video', section, videoFormats(negotiated.video), rtxPayloadType !== undefined);
      }
      if (section !== audio || !opus) return section;
      return this.#localMedia('audio', section, opusFormats(opus), opus.rtxPayloadType !== undefined);
    });
    return writeDescription(this.#sessionId(), local, media, offer.bundle);
  }

  restartIce(remote: IceCredentials): string {
    if (!this.#tagged || this.#state === 'closed') throw new HumancastError('unavailable', 'there is no ICE session');
    return writeIceFragment(this.#ice.restart(remote), this.#candidates, this.#tagged);
  }

  sendVideo(frame: PacketizedFrame, rtpTicks: number, fromPacket = 0, toPacket = frame.payloads.length): number {
    const senders = this.#senders;
    if (!senders) {
      this.#packetsDropped += toPacket - fromPacket;
      return toPacket - fromPacket;
    }
    const taken = this.#sendPackets(senders, frame, rtpTicks, fromPacket, toPacket);
    this.#ice.writer.flush();
    return taken;
  }

  #sendPackets(
    { video, videoRetransmitter }: Senders,
    frame: PacketizedFrame,
    rtpTicks: number,
    fromPacket: number,
    toPacket: number,
  ): number {
    const { payloads } = frame;
    const timestamp = video.timestampOf(rtpTicks);
    for (let i = fromPacket; i < toPacket; i++) {
      const payload = payloads[i];
      if (payload === undefined) break;
      if (!this.#maySend()) return i - fromPacket;
      if (i === 0) this.#pictureId = (this.#pictureId + 1) & PICTURE_ID_MASK;
      const pictureId = frame.hasPictureId ? this.#pictureId : NO_PICTURE_ID;
      const sequence = videoRetransmitter.send(payload, timestamp, i === payloads.length - 1, pictureId);
      if (frame.keyframe && i === 0) videoRetransmitter.beginKeyframe(sequence);
    }
    return toPacket - fromPacket;
  }

  forgetVideo(): void {
    this.#senders?.videoRetransmitter.forget();
  }

  sendPadding(): number {
    if (!this.#senders || !this.#maySend()) return 0;
    const bytes = this.#senders.videoRetransmitter.pad();
    this.#ice.writer.flush();
    return bytes;
  }

  sendAudio(packet: AudioPacket): boolean {
    const senders = this.#senders;
    if (!senders) {
      this.#packetsDropped++;
      return true;
    }
    // A viewer that wants no audio misses none.
    const { audio, audioRetransmitter } = senders;
    const { payloadType, redPayloadType } = this.#negotiated?.opus ?? AUDIO_OFFER;
    if (!audio || !audioRetransmitter) return true;
    if (!this.#maySend()) return false;
    const count = redPayloadType === undefined ? 0 : packet.repeatable(this.#chooseRedundancy());
    const red = packet.red(payloadType, count);
    const timestamp = audio.timestampOf(packet.ticks);
    this.#audioPackets++;
    if (red && redPayloadType !== undefined) {
      audioRetransmitter.send(red, timestamp, false, NO_PICTURE_ID, redPayloadType, packet.opus);
      this.#redundantPackets += count;
      this.#redundancyBytes += red.length - packet.opus.length;
    } else {
      audioRetransmitter.send(packet.opus, timestamp, false);
    }
    this.#ice.writer.flush();
    return true;
  }

  get audioBps(): number {
    if (!this.#isAudioEstimated[this.bandwidth.source]) return 0;
    return AUDIO_BPS + this.#redundancy.depth * REDUNDANCY_BPS;
  }

  #chooseRedundancy(): number {
    const nowMs = this.#clock.nowMs();
    return this.#redundancy.update(this.bandwidth.recentLossRate, this.bandwidth.targetBps(nowMs), nowMs);
  }

  sendReports(ntp: bigint, videoTicks: number, audioTicks: number): void {
    const senders = this.#senders;
    if (!senders || !this.#maySend()) return;
    this.#report(senders, senders.video, ntp, videoTicks);
    if (senders.audio) this.#report(senders, senders.audio, ntp, audioTicks, senders.microphone?.report());
    this.#roundTrip.reported(ntp, this.#clock.nowMs());
  }

  stats(): TransportStats {
    const packetsDropped = this.#packetsDropped + this.#ice.packetsDropped;
    if (this.#lastStats) return { ...this.#lastStats, packetsDropped };
    const { streams = [], audioRetransmitter, videoRetransmitter } = this.#senders ?? {};
    const audioRetransmitted = audioRetransmitter?.repeated ?? 0;
    const heard = this.#senders?.microphone?.stats;
    const packetsSent = streams.reduce((sum, { packets }) => sum + packets, 0);
    return {
      packetsSent,
      bytesSent: streams.reduce((sum, { octets }) => sum + octets, 0) + packetsSent * RTP_HEADER_BYTES,
      packetsDropped,
      retransmitted: audioRetransmitted + (videoRetransmitter?.repeated ?? 0),
      retransmittedBytes: (audioRetransmitter?.repeatedBytes ?? 0) + (videoRetransmitter?.repeatedBytes ?? 0),
      nacks: this.#nacks.audio + this.#nacks.video,
      plis: this.#plis,
      microphonePackets: heard?.packets ?? 0,
      microphoneLost: heard?.lost ?? 0,
      microphoneConcealedMs: heard?.concealedMs ?? 0,
      audioPackets: this.#audioPackets,
      redundantPackets: this.#redundantPackets,
      redundancyBytes: this.#redundancyBytes,
      audioRetransmitted,
      audioNacks: this.#nacks.audio,
      roundTripMs: this.#roundTrip.ms,
      estimateBps: Math.round(this.bandwidth.targetBps(this.#clock.nowMs())),
      estimateSource: this.bandwidth.source,
      remoteAddress: this.#ice.remoteAddress,
    };
  }

  close(reason: CloseReason | string = 'closed'): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearInterval(this.#watch);
    this.#attempt(() => this.#sendGoodbye());
    this.#attempt(() => this.#dtls?.close());
    this.#attempt(() => this.#ice.close());
    this.#lastStats = this.stats();
    this.#options.logger.debug({ connection: this.connection, reason, ...this.#lastStats }, 'viewer transport closed');
    this.#senders = undefined;
    this.#attempt(() => this.#events.closed(reason));
  }

  #sendGoodbye(): void {
    if (!this.#senders) return;
    const { audio, video, srtp } = this.#senders;
    const ssrcs = audio ? [video.ssrc, audio.ssrc] : [video.ssrc];
    this.#sendRtcp(srtp, goodbye(ssrcs, this.#cname));
  }

  async #prepare(setup: LocalParameters['setup']): Promise<LocalParameters> {
    if (this.#state !== 'new') throw new HumancastError('unavailable', `the connection is ${this.#state}`);
    this.#state = 'connecting';
    const certificate = await processCertificate();
    this.#dtls = new DtlsEndpoint(certificate, (datagram) => this.#ice.sendBuffer(datagram), {
      established: () => {
        this.#dtlsEstablished = true;
        this.#ice.requireProof();
        this.#noteReceived(true);
        this.#connectWhenReady();
      },
      failed: (error) => {
        this.#options.logger.info({ connection: this.connection, err: error.message }, 'DTLS handshake failed');
        this.close('dtls-failed');
      },
      closed: () => this.close('closed-by-viewer'),
      dropped: (reason) => this.#ignored({ reason }),
    });
    const candidates = await this.#ice.gather();
    if (this.#isClosed()) throw new HumancastError('unavailable', 'the connection was closed meanwhile');
    this.#candidates = candidates;
    const { usernameFragment, password } = this.#ice.local;
    return { setup, candidates, usernameFragment, password, fingerprint: fingerprintOf(certificate) };
  }

  /** A method, because the compiler would assume that the field does not change during an await. */
  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #negotiate(description: RemoteDescription, { audio, video }: Sections): Negotiated {
    const format = video && chooseVideo(video, this.#options.codecs);
    if (!video || !format) {
      throw new HumancastError(
        'no_common_codec',
        `the viewer supports none of these video codecs: ${this.#options.codecs.join(', ')}`,
      );
    }
    if (video.fingerprints.length === 0) throw new HumancastError('bad_sdp', 'the description has no fingerprint');
    if (video.setup === 'passive')
      throw new HumancastError('bad_sdp', 'the viewer must start DTLS (a=setup:active or actpass)');
    if (audio && !isBundled(description, [audio.mid, video.mid])) {
      throw new HumancastError('bad_sdp', 'audio and video must share one transport (a=group:BUNDLE)');
    }
    const opus = audio && chooseOpus(audio);
    // A player that shows video without audio could not tell why.
    if (audio && !opus) {
      throw new HumancastError('no_common_codec', 'the audio section has no Opus (opus/48000/2)');
    }
    const extensions = { audio: audio?.extensions ?? NO_EXTENSIONS, video: video.extensions };
    const microphone = this.#options.microphone && audio?.sends ? audio.ssrcs : undefined;
    return { fingerprints: video.fingerprints, ice: video.ice, video: format, opus, microphone, extensions };
  }

  #agree(negotiated: Negotiated): void {
    this.#negotiated = negotiated;
    this.#isAudioEstimated = estimatesOfAudio(negotiated);
    if (negotiated.ice) this.#ice.setRemote(negotiated.ice);
  }

  #localMedia(
    kind: MediaKind,
    { mid, reducedSize, extensions }: Pick<LocalMedia, 'mid' | 'reducedSize' | 'extensions'>,
    formats: LocalMedia['formats'],
    withRtx = false,
  ): LocalMedia {
    const ssrcs = withRtx ? [this.#ssrc[kind], this.#rtxSsrc[kind]] : [this.#ssrc[kind]];
    return { kind, receives: false, mid, formats, ssrcs, cname: this.#cname, stream: STREAM, reducedSize, extensions };
  }

  #sessionId(): number {
    return this.#ssrc.video;
  }

  /** The handshake may complete before or after the answer arrives through signaling. */
  #connectWhenReady(): void {
    if (!this.#dtlsEstablished || !this.#dtls || !this.#negotiated || this.#state !== 'connecting') return;
    const keys = this.#dtls.srtpKeys();
    if (!keys || !this.#dtls.isPeer(this.#negotiated.fingerprints)) {
      this.close('dtls-failed');
      return;
    }
    this.#senders = this.#createSenders(
      new SrtpSender(keys.local, this.#crypto),
      new SrtpReceiver(keys.remote),
      this.#negotiated,
    );
    this.#state = 'connected';
    const { codec } = this.#negotiated.video;
    this.#attempt(() => this.#events.connected(codec));
  }

  #createSenders(srtp: SrtpSender, srtcp: SrtpReceiver, negotiated: Negotiated): Senders {
    const { video: format, opus } = negotiated;
    const extension = new CongestionExtension(this.bandwidth, () => this.#clock.nowMs());
    const create = (ssrc: number, payloadType: number, kind: MediaKind) => {
      const congestion = { extension, ids: extensionIds(negotiated, kind) };
      return new RtpStream({ srtp, writer: this.#ice.writer, ssrc, payloadType, congestion });
    };
    const createRtx = (kind: MediaKind, payloadType: number | undefined) =>
      payloadType === undefined ? undefined : create(this.#rtxSsrc[kind], payloadType, kind);
    const video = create(this.#ssrc.video, format.payloadType, 'video');
    const videoRtx = createRtx('video', format.rtxPayloadType);
    const audio = opus && create(this.#ssrc.audio, opus.payloadType, 'audio');
    const audioRtx = createRtx('audio', opus?.rtxPayloadType);
    return {
      srtp,
      srtcp,
      microphone: audio && opus && this.#createMicrophone(srtp, srtcp, opus, negotiated.microphone),
      video,
      audio,
      streams: [video, videoRtx, audio, audioRtx].filter((stream) => stream !== undefined),
      videoRetransmitter: new Retransmitter({
        original: video,
        rtx: videoRtx,
        budget: this.repairs,
        historyPackets: VIDEO_HISTORY_PACKETS,
        maxAgeBeforeKeyframeTicks: VIDEO_MAX_AGE_BEFORE_KEYFRAME_TICKS,
        fateOf: (transportSequence) => this.bandwidth.fateOf(transportSequence),
      }),
      audioRetransmitter:
        audio &&
        new Retransmitter({
          original: audio,
          rtx: audioRtx,
          budget: new RepairBudget(AUDIO_REPAIR_SHARE, AUDIO_REPAIR_LIMIT_BYTES),
          historyPackets: AUDIO_HISTORY_PACKETS,
          maxAgeTicks: AUDIO_MAX_AGE_TICKS,
        }),
    };
  }

  #createMicrophone(
    sender: SrtpSender,
    srtp: SrtpReceiver,
    { payloadType, redPayloadType, feedback }: AudioFormat,
    ssrcs: readonly number[] | undefined,
  ): MicrophoneReceiver | undefined {
    if (!ssrcs) return undefined;
    return new MicrophoneReceiver({
      srtp,
      ssrcs,
      payloadType,
      redPayloadType,
      canRepeat: feedback.includes('nack'),
      nowMs: () => this.#clock.nowMs(),
      onFrame: (frame) => this.#attempt(() => this.#events.heard(frame)),
      onMissing: (ssrc, sequences) => {
        if (this.#maySend()) this.#sendRtcp(sender, genericNack(this.#ssrc.audio, this.#cname, ssrc, sequences));
      },
    });
  }

  #report({ srtp }: Senders, stream: RtpStream, ntp: bigint, ticks: number, reception?: ReceptionReport): void {
    const { ssrc, packets, octets } = stream;
    const rtpTimestamp = stream.timestampOf(ticks);
    const report = senderReport({ ssrc, cname: this.#cname, ntp, rtpTimestamp, packets, octets }, reception);
    this.#sendRtcp(srtp, report);
  }

  #sendRtcp(srtp: SrtpSender, packet: Buffer): void {
    const { writer } = this.#ice;
    const at = writer.begin();
    writer.send(srtp.protectRtcp(writer.memory, at, packet));
    writer.flush();
  }

  /** @returns whether the viewer has certainly sent it. */
  #receive(data: Buffer): boolean {
    if (!isDtls(data)) return isRtcp(data) ? this.#receiveRtcp(data) : this.#receiveRtp(data);
    if (!this.#dtlsRate.take()) return this.#ignored({ reason: 'rate-limited' });
    const authentic = this.#dtls?.receive(data) ?? false;
    if (authentic) this.#noteReceived(true);
    return authentic;
  }

  #receiveRtp(data: Buffer): boolean {
    if (!this.#senders) return false;
    const { microphone } = this.#senders;
    const problem = microphone ? microphone.receive(data, this.#roundTrip.ms) : 'not-negotiated';
    if (problem) return this.#ignored({ reason: problem });
    this.#noteReceived(true);
    return true;
  }

  #receiveRtcp(data: Buffer): boolean {
    // RTCP before there are keys is early, which is not a fault.
    const srtcp = this.#senders?.srtcp;
    if (!srtcp) return false;
    if (!this.#rtcpRate.take()) return this.#ignored({ reason: 'rate-limited' });
    const clear = srtcp.unprotectRtcp(data);
    if (!clear) return this.#ignored({ reason: 'unauthenticated' });
    this.#noteReceived(true);
    // A viewer that continues has not left.
    this.#byeAtMs = undefined;
    readRtcp(clear, {
      report: (block, reporter) => this.#reported(block, reporter),
      senderReport: (ssrc, middle) => this.#senders?.microphone?.reported(ssrc, middle),
      nack: (ssrc, sequences) => this.#repeat(ssrc, sequences),
      pictureLoss: (ssrc) => this.#pictureLost(ssrc),
      transportFeedback: (packet) => this.#transportReported(packet),
      receiverEstimate: (bps) => this.bandwidth.remb(bps, this.#clock.nowMs()),
      bye: (ssrcs) => {
        if (ssrcs.some((ssrc) => this.#reporters.has(ssrc))) this.#byeAtMs = this.#clock.nowMs();
      },
    });
    return true;
  }

  /** Reports a datagram that was ignored. A fault of ours is logged once per connection. */
  #ignored(problem: DatagramProblem): false {
    this.#options.onProblem?.(problem);
    if (problem.reason !== 'failed' || this.#failures++ > 0) return false;
    this.#options.logger.error({ connection: this.connection, err: problem.error }, 'reading a datagram failed');
    return false;
  }

  #reported(block: ReportBlock, reporter: number): void {
    const kind = this.#kindOf(block.ssrc);
    if (!kind) return;
    if (this.#reporters.size < MAX_REPORTERS) this.#reporters.add(reporter);
    this.#roundTrip.answered(block.lastReport, block.delaySinceLastReport, this.#clock.nowMs());
    const { fractionLost, packetsLost, jitterTicks } = block;
    if (kind === 'video') this.bandwidth.receiverReport(fractionLost, this.#roundTrip.ms, this.#clock.nowMs());
    const feedback = { kind, fractionLost, packetsLost, jitterTicks, roundTripMs: this.#roundTrip.ms };
    this.#attempt(() => this.#events.feedback(feedback));
  }

  #transportReported(packet: Buffer): void {
    const nowMs = this.#clock.nowMs();
    this.bandwidth.transportFeedback(packet, nowMs);
    if (!this.#maySend()) return;
    this.#senders?.videoRetransmitter.repeatLost(nowMs);
    this.#ice.writer.flush();
  }

  #kindOf(ssrc: number): MediaKind | undefined {
    if (ssrc === this.#ssrc.video) return 'video';
    return ssrc === this.#ssrc.audio ? 'audio' : undefined;
  }

  #repeat(ssrc: number, sequences: readonly number[]): void {
    const kind = this.#kindOf(ssrc);
    if (!kind) return;
    this.#nacks[kind] += sequences.length;
    if (!this.#senders || !this.#maySend()) return;
    const { audioRetransmitter, videoRetransmitter } = this.#senders;
    const retransmitter = kind === 'audio' ? audioRetransmitter : videoRetransmitter;
    retransmitter?.repeat(sequences, this.#clock.nowMs(), this.#roundTrip.ms, this.bandwidth.recentLossRate);
    this.#ice.writer.flush();
  }

  #pictureLost(ssrc: number): void {
    if (ssrc !== this.#ssrc.video) return;
    this.#plis++;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#keyframeRequestedAtMs < KEYFRAME_REQUEST_INTERVAL_MS) return;
    this.#keyframeRequestedAtMs = nowMs;
    this.#attempt(() => this.#events.keyframeNeeded());
  }

  #noteReceived(authentic: boolean): void {
    this.#receivedAtMs = this.#clock.nowMs();
    if (authentic) this.#authenticAtMs = this.#receivedAtMs;
  }

  #checkTimeouts(): void {
    const nowMs = this.#clock.nowMs();
    const { connectTimeoutMs, silenceTimeoutMs = SILENCE_TIMEOUT_MS } = this.#options;
    if (this.#state !== 'connected') {
      if (nowMs - this.#startedAtMs > connectTimeoutMs) this.close('connect-timeout');
      return;
    }
    this.#senders?.microphone?.poll(this.#roundTrip.ms);
    const unprovenMs = nowMs - this.#authenticAtMs;
    const isSilent = nowMs - this.#receivedAtMs > silenceTimeoutMs || unprovenMs > UNPROVEN_TIMEOUTS * silenceTimeoutMs;
    if (isSilent) this.close('silent');
    else if (this.#byeAtMs !== undefined && nowMs - this.#byeAtMs > BYE_MS) this.close('closed-by-viewer');
    else this.#ice.probe(unprovenMs > ASK_AFTER_MS);
  }

  /** Runs a step or a listener; logs what it throws, so that nothing else fails. */
  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#options.logger.error({ connection: this.connection, err: error }, 'viewer transport step failed');
    }
  }
}

const ALL_ESTIMATES: Readonly<Record<EstimateSource, boolean>> = {
  'transport-cc': true,
  remb: true,
  'receiver-reports': true,
};

/** Packets need the estimate's header extension to be included, where video has it. */
function estimatesOfAudio({ opus, extensions: { audio, video } }: Negotiated): Record<EstimateSource, boolean> {
  const includes = (uri: string) => opus !== undefined && (!video.has(uri) || audio.has(uri));
  return {
    'transport-cc': includes(TRANSPORT_SEQUENCE_URI),
    remb: includes(ABS_SEND_TIME_URI),
    'receiver-reports': opus !== undefined,
  };
}

const NO_EXTENSIONS: ReadonlyMap<string, number> = new Map();

/** Audio retransmissions are not offered, because Chromium would refuse the whole offer. */
const AUDIO_OFFER: AudioFormat = {
  payloadType: OPUS_PAYLOAD_TYPE,
  redPayloadType: RED_PAYLOAD_TYPE,
  rtxPayloadType: undefined,
  feedback: AUDIO_FEEDBACK,
};

function extensionIds({ extensions }: Negotiated, kind: MediaKind): CongestionExtensionIds {
  const ids = extensions[kind];
  return { transportSequence: ids.get(TRANSPORT_SEQUENCE_URI), absSendTime: ids.get(ABS_SEND_TIME_URI) };
}

type Sections = Record<MediaKind, RemoteMedia | undefined>;

/** Finds the sections that want our tracks; additional ones of a kind are refused. */
function sections({ media }: RemoteDescription): Sections {
  const wants = (kind: MediaKind) => media.find((m) => m.kind === kind && !m.rejected && m.receives);
  return { audio: wants('audio'), video: wants('video') };
}

function randomSsrc(): number {
  return randomBytes(4).readUInt32BE();
}
