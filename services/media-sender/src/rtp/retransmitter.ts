import { PacketHistory, type SentPacket } from './packet-history.js';
import type { RepairBudget } from './repair-budget.js';
import { RTP_HEADER_BYTES, type RtpStream } from './rtp-stream.js';

/** 2.7 s of full packets at 3.5 Mb/s. */
const HISTORY_PACKETS = 1024;
/** Until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
const MIN_INTERVAL_MS = 15;

/** Repeats lost packets of one stream, as RTX packets (RFC 4588) where the viewer takes them. */
export class Retransmitter {
  readonly #original: RtpStream;
  readonly #rtx: RtpStream | undefined;
  readonly #budget: RepairBudget;
  readonly #history = new PacketHistory(HISTORY_PACKETS);
  /** The first packet of the last keyframe: nobody needs what came before. */
  #keyframeSequence: number | undefined;
  #newest: number | undefined;
  #repeated = 0;

  constructor(original: RtpStream, rtx: RtpStream | undefined, budget: RepairBudget) {
    this.#original = original;
    this.#rtx = rtx;
    this.#budget = budget;
  }

  /** Packets repeated so far. */
  get repeated(): number {
    return this.#repeated;
  }

  remember(sequence: number, payload: Buffer, timestamp: number, marker: boolean): void {
    this.#history.remember(sequence, payload, timestamp, marker);
    this.#newest = sequence;
    this.#budget.earn(payload.length);
  }

  /** @param sequence the first packet of a keyframe, with which decoding can begin anew. */
  beginKeyframe(sequence: number): void {
    this.#keyframeSequence = sequence;
  }

  /**
   * Repeats what is still known of these packets, within the limits. One asked for again before the first repetition can
   * have arrived is left alone, and so is what lies before the last keyframe.
   */
  repeat(sequences: readonly number[], nowMs: number, roundTripMs = ASSUMED_ROUND_TRIP_MS): void {
    const intervalMs = Math.max(roundTripMs, MIN_INTERVAL_MS);
    for (const sequence of sequences) {
      const packet = this.#isOutdated(sequence) ? undefined : this.#history.find(sequence);
      if (!packet || nowMs - this.#history.repeatedAtMs(sequence) < intervalMs) continue;
      const bytes = RTP_HEADER_BYTES + packet.payload.length;
      if (!this.#budget.spend(bytes)) return;
      this.#history.markRepeated(sequence, nowMs);
      this.#repeated++;
      this.#send(packet);
    }
  }

  /**
   * Sends the newest packet once more, to fill a probe: the viewer takes it for one that came twice. Only where
   * retransmissions have a stream of their own.
   * @returns the bytes of it; 0: there is nothing to send.
   */
  pad(): number {
    const packet = this.#newest === undefined ? undefined : this.#history.find(this.#newest);
    if (!packet || !this.#rtx) return 0;
    this.#send(packet, true);
    return RTP_HEADER_BYTES + packet.payload.length;
  }

  #isOutdated(sequence: number): boolean {
    return this.#keyframeSequence !== undefined && ((sequence - this.#keyframeSequence) & 0x8000) !== 0;
  }

  #send({ sequence, payload, timestamp, marker }: SentPacket, padding = false): void {
    if (!this.#rtx) {
      this.#original.repeat(payload, timestamp, marker, sequence);
      return;
    }
    // RFC 4588 §4: the original sequence number, then the original payload.
    const wrapped = Buffer.allocUnsafe(2 + payload.length);
    wrapped.writeUInt16BE(sequence, 0);
    payload.copy(wrapped, 2);
    this.#rtx.send(wrapped, timestamp, marker, padding);
  }
}
