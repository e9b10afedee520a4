import { PacketHistory, type SentPacket } from './packet-history.js';
import { RTP_HEADER_BYTES, type RtpStream } from './rtp-stream.js';

/** 2.7 s of full packets at 3.5 Mb/s. */
const HISTORY_PACKETS = 1024;
/** Of what the media takes: beyond that, repeating makes a congested path worse. */
const REPEATED_SHARE = 0.25;
/** Saved up at most, and there from the start: a second's share at 2 Mb/s, enough to mend one large keyframe. */
const CREDIT_LIMIT_BYTES = 65_536;
/** Until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
const MIN_INTERVAL_MS = 15;

/** Repeats lost packets of one stream, as RTX packets (RFC 4588) where the viewer takes them. */
export class Retransmitter {
  readonly #original: RtpStream;
  readonly #rtx: RtpStream | undefined;
  readonly #history = new PacketHistory(HISTORY_PACKETS);
  #creditBytes = CREDIT_LIMIT_BYTES;
  #repeated = 0;

  constructor(original: RtpStream, rtx: RtpStream | undefined) {
    this.#original = original;
    this.#rtx = rtx;
  }

  /** Packets repeated so far. */
  get repeated(): number {
    return this.#repeated;
  }

  remember(sequence: number, payload: Buffer, timestamp: number, marker: boolean): void {
    this.#history.remember(sequence, payload, timestamp, marker);
    this.#creditBytes = Math.min(this.#creditBytes + payload.length * REPEATED_SHARE, CREDIT_LIMIT_BYTES);
  }

  /**
   * Repeats what is still known of these packets, within the limits. One asked for again before the first repetition can
   * have arrived is left alone.
   */
  repeat(sequences: readonly number[], nowMs: number, roundTripMs = ASSUMED_ROUND_TRIP_MS): void {
    const intervalMs = Math.max(roundTripMs, MIN_INTERVAL_MS);
    for (const sequence of sequences) {
      const packet = this.#history.find(sequence);
      if (!packet || nowMs - this.#history.repeatedAtMs(sequence) < intervalMs) continue;
      const bytes = RTP_HEADER_BYTES + packet.payload.length;
      if (bytes > this.#creditBytes) return;
      this.#creditBytes -= bytes;
      this.#history.markRepeated(sequence, nowMs);
      this.#repeated++;
      this.#send(packet);
    }
  }

  #send({ sequence, payload, timestamp, marker }: SentPacket): void {
    if (!this.#rtx) {
      this.#original.repeat(payload, timestamp, marker, sequence);
      return;
    }
    // RFC 4588 §4: the original sequence number, then the original payload.
    const wrapped = Buffer.allocUnsafe(2 + payload.length);
    wrapped.writeUInt16BE(sequence, 0);
    payload.copy(wrapped, 2);
    this.#rtx.send(wrapped, timestamp, marker);
  }
}
