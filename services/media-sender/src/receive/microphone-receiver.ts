import type { ReceptionReport } from '../rtp/rtcp.js';
import type { SrtpReceiver } from '../rtp/srtp.js';
import { TokenBucket } from '../transport/token-bucket.js';
import { AudioReceiver, type AudioReceiverOptions, type AudioReceiverStats } from './audio-receiver.js';
import { readRtpHeader, withoutPadding } from './rtp-header.js';

/** Rate of RTP packets read. A browser sends 50 a second, and some of them again when they are asked for. */
const RTP_RATE = { perSecond: 150, burst: 150 };
/** The largest packet that fits into a datagram of an Ethernet. */
const MAX_BYTES = 1500;

export interface MicrophoneReceiverOptions extends AudioReceiverOptions {
  readonly srtp: SrtpReceiver;
  /** SSRCs that the viewer has named; if there are none, the first authentic one is taken. */
  readonly ssrcs: readonly number[];
  /** Monotonic clock. */
  readonly nowMs: () => number;
}

/** Admits the RTP of one viewer's microphone: authentic, of one stream, in the negotiated formats, and not too much. */
export class MicrophoneReceiver {
  readonly #options: MicrophoneReceiverOptions;
  readonly #rate: TokenBucket;
  #ssrc: number | undefined;
  /** Created for the first packet: most viewers that may speak never do. */
  #audio: AudioReceiver | undefined;

  constructor(options: MicrophoneReceiverOptions) {
    this.#options = options;
    this.#rate = new TokenBucket(RTP_RATE, options.nowMs);
  }

  /** @returns Why the packet was dropped; `undefined` if it was authentic and taken. */
  receive(
    packet: Buffer,
    roundTripMs: number | undefined,
  ): 'malformed' | 'not-negotiated' | 'rate-limited' | 'unauthenticated' | undefined {
    const { srtp, ssrcs, payloadType, redPayloadType, nowMs } = this.#options;
    if (!this.#rate.take()) return 'rate-limited';
    const header = packet.length <= MAX_BYTES ? readRtpHeader(packet) : undefined;
    if (!header) return 'malformed';
    const isExpected =
      this.#ssrc === undefined ? ssrcs.length === 0 || ssrcs.includes(header.ssrc) : header.ssrc === this.#ssrc;
    if (!isExpected || (header.payloadType !== payloadType && header.payloadType !== redPayloadType))
      return 'not-negotiated';
    const clear = srtp.unprotectRtp(packet, header.bytes, header.ssrc, header.sequence);
    if (!clear) return 'unauthenticated';
    const payload = header.isPadded ? withoutPadding(clear) : clear;
    if (!payload) return 'malformed';
    this.#ssrc = header.ssrc;
    this.#audio ??= new AudioReceiver(this.#options);
    this.#audio.receive(header, payload, nowMs(), roundTripMs);
    return undefined;
  }

  /** Passes on what has waited long enough. */
  poll(roundTripMs: number | undefined): void {
    this.#audio?.poll(this.#options.nowMs(), roundTripMs);
  }

  /** @param middle Middle 32 bits of the NTP timestamp of the viewer's sender report. */
  reported(ssrc: number, middle: number): void {
    if (ssrc === this.#ssrc) this.#audio?.reception?.reported(middle, this.#options.nowMs());
  }

  /** @returns What to state about the stream in a report; `undefined` before the first packet. */
  report(): ReceptionReport | undefined {
    return this.#audio?.reception?.report(this.#options.nowMs());
  }

  get stats(): Readonly<AudioReceiverStats> | undefined {
    return this.#audio?.stats;
  }
}
