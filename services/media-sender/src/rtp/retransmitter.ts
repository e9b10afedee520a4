import { PacketHistory, type SentPacket } from './packet-history.js';
import type { RepairBudget } from './repair-budget.js';
import { RTP_HEADER_BYTES, type RtpStream } from './rtp-stream.js';

export interface RetransmitterOptions {
  readonly original: RtpStream;
  /** Without it, packets are repeated as they were. */
  readonly rtx: RtpStream | undefined;
  readonly budget: RepairBudget;
  /** Packets that are remembered; a power of two. */
  readonly historyPackets: number;
  /** A packet that is older than this against the newest one is not repeated, in ticks of the stream. Default: any is. */
  readonly maxAgeTicks?: number;
}

/** Remembered packets of video: 2.7 s of full packets at 3.5 Mb/s. */
export const VIDEO_HISTORY_PACKETS = 1024;
/** Until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
const MIN_INTERVAL_MS = 15;

/** Repeats lost packets of one stream, as RTX packets (RFC 4588) where the viewer takes them. */
export class Retransmitter {
  readonly #original: RtpStream;
  readonly #rtx: RtpStream | undefined;
  readonly #budget: RepairBudget;
  readonly #history: PacketHistory;
  readonly #maxAgeTicks: number;
  /** The first packet of the last keyframe: nobody needs what came before. */
  #keyframeSequence: number | undefined;
  #newest: number | undefined;
  #newestTimestamp = 0;
  #repeated = 0;

  constructor({ original, rtx, budget, historyPackets, maxAgeTicks }: RetransmitterOptions) {
    this.#original = original;
    this.#rtx = rtx;
    this.#budget = budget;
    this.#history = new PacketHistory(historyPackets);
    this.#maxAgeTicks = maxAgeTicks ?? Number.POSITIVE_INFINITY;
  }

  /** Packets repeated so far. */
  get repeated(): number {
    return this.#repeated;
  }

  /**
   * Sends a packet, and remembers it.
   * @param payloadType of the packet. Default: the stream's.
   * @param retransmission what a packet on the retransmission stream carries. Default: `payload`.
   * @returns its sequence number.
   */
  send(
    payload: Buffer,
    timestamp: number,
    marker: boolean,
    payloadType = this.#original.payloadType,
    retransmission = payload,
  ): number {
    const sequence = this.#original.send(payload, timestamp, marker, false, payloadType);
    const kept = this.#rtx ? retransmission : payload;
    this.#history.remember(sequence, kept, timestamp, marker, payloadType, this.#original.extension);
    this.#newest = sequence;
    this.#newestTimestamp = timestamp;
    this.#budget.earn(payload.length);
    return sequence;
  }

  /** @param sequence the first packet of a keyframe, with which decoding can begin anew. */
  beginKeyframe(sequence: number): void {
    this.#keyframeSequence = sequence;
  }

  /**
   * Repeats what is still known of these packets, within the limits. A packet asked for again before its repetition can
   * have arrived is left alone, and so is one from before the last keyframe, or one that is too old.
   */
  repeat(sequences: readonly number[], nowMs: number, roundTripMs = ASSUMED_ROUND_TRIP_MS): void {
    const intervalMs = Math.max(roundTripMs, MIN_INTERVAL_MS);
    for (const sequence of sequences) {
      const packet = this.#isOutdated(sequence) ? undefined : this.#history.find(sequence);
      if (!packet || this.#ageTicks(packet) > this.#maxAgeTicks) continue;
      if (nowMs - this.#history.repeatedAtMs(sequence) < intervalMs) continue;
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

  #ageTicks({ timestamp }: SentPacket): number {
    return (this.#newestTimestamp - timestamp) >>> 0;
  }

  #send(packet: SentPacket, padding = false): void {
    if (!this.#rtx) {
      this.#original.repeat(packet);
      return;
    }
    const { sequence, payload, timestamp, marker } = packet;
    // RFC 4588 §4: the original sequence number, then the original payload.
    const wrapped = Buffer.allocUnsafe(2 + payload.length);
    wrapped.writeUInt16BE(sequence, 0);
    payload.copy(wrapped, 2);
    this.#rtx.send(wrapped, timestamp, marker, padding);
  }
}
