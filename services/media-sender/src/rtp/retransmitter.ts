import type { PacketFate } from '../congestion/send-history.js';
import { transportSequenceOf } from './congestion-extension.js';
import { NO_PICTURE_ID, PacketHistory, type SentPacket } from './packet-history.js';
import type { RepairBudget } from './repair-budget.js';
import { RTP_HEADER_BYTES, type RtpStream } from './rtp-stream.js';
import { writePictureId } from './vp8-packetizer.js';

export interface RetransmitterOptions {
  readonly original: RtpStream;
  /** Without it, packets are repeated as they were. */
  readonly rtx: RtpStream | undefined;
  readonly budget: RepairBudget;
  /** Packets that are remembered; a power of two. */
  readonly historyPackets: number;
  /** A packet that is older than this against the newest one is not repeated, in ticks of the stream. Default: any is. */
  readonly maxAgeTicks?: number;
  /** The same for packets from before the last keyframe. Default: as `maxAgeTicks`. */
  readonly maxAgeBeforeKeyframeTicks?: number;
  /** What the viewer has said about a packet of the retransmission stream, by its transport-wide sequence number. */
  readonly fateOf?: (transportSequence: number) => PacketFate;
}

/** Remembered packets of video: 2.7 s of full packets at 3.5 Mb/s. */
export const VIDEO_HISTORY_PACKETS = 1024;
/** Viewers hold video back by up to 700 ms to wait for repairs, 90 kHz. */
export const VIDEO_MAX_AGE_BEFORE_KEYFRAME_TICKS = 72_000;
/** Until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
/** A request this long after a repetition, in round trips, was made without it: measurements of the round trip vary. */
const INTERVAL_ROUND_TRIPS = 0.9;
const MIN_INTERVAL_MS = 15;
/** Repetitions of which the fate is watched; more of them are repeated only on request. */
const MAX_UNCONFIRMED = 128;
/** Only one repetition can be in time on a longer path, ms: it is sent twice where more than this share is lost. */
const LONG_ROUND_TRIP_MS = 150;
const TWICE_FROM_LOSS = 0.005;

/** Repeats lost packets of one stream, as RTX packets (RFC 4588) where the viewer takes them. */
export class Retransmitter {
  readonly #original: RtpStream;
  readonly #rtx: RtpStream | undefined;
  readonly #budget: RepairBudget;
  readonly #history: PacketHistory;
  readonly #maxAgeTicks: number;
  readonly #maxAgeBeforeKeyframeTicks: number;
  readonly #fateOf: RetransmitterOptions['fateOf'];
  /** Repetitions that the viewer has not acknowledged, oldest first. */
  readonly #unconfirmed: { readonly sequence: number; readonly transportSequence: number; readonly atMs: number }[] =
    [];
  /** The first packet of the last keyframe. */
  #keyframeSequence: number | undefined;
  /** The first packet that may be repeated. */
  #firstSequence: number | undefined;
  #newest: number | undefined;
  #newestTimestamp = 0;
  #repeated = 0;

  constructor({ original, rtx, budget, historyPackets, ...limits }: RetransmitterOptions) {
    this.#original = original;
    this.#rtx = rtx;
    this.#budget = budget;
    this.#history = new PacketHistory(historyPackets);
    this.#maxAgeTicks = limits.maxAgeTicks ?? Number.POSITIVE_INFINITY;
    this.#maxAgeBeforeKeyframeTicks = limits.maxAgeBeforeKeyframeTicks ?? this.#maxAgeTicks;
    this.#fateOf = limits.fateOf;
  }

  /** Packets repeated so far. */
  get repeated(): number {
    return this.#repeated;
  }

  /**
   * Sends a packet, and remembers it.
   * @param pictureId is written into the payload, where it has one (RFC 7741 §4.2).
   * @param payloadType of the packet. Default: the stream's.
   * @param retransmission what a packet on the retransmission stream carries. Default: `payload`.
   * @returns its sequence number.
   */
  send(
    payload: Buffer,
    timestamp: number,
    marker: boolean,
    pictureId = NO_PICTURE_ID,
    payloadType = this.#original.payloadType,
    retransmission = payload,
  ): number {
    if (pictureId !== NO_PICTURE_ID) writePictureId(payload, pictureId);
    const sequence = this.#original.send(payload, timestamp, marker, false, payloadType);
    const kept = this.#rtx ? retransmission : payload;
    this.#history.remember(sequence, kept, timestamp, marker, payloadType, this.#original.extension, pictureId);
    this.#newest = sequence;
    this.#newestTimestamp = timestamp;
    this.#budget.earn(payload.length);
    return sequence;
  }

  /** @param sequence the first packet of a keyframe, with which decoding can begin anew. */
  beginKeyframe(sequence: number): void {
    this.#keyframeSequence = sequence;
  }

  /** What was sent so far is not repeated any more: the viewer gets something else in its place. */
  forget(): void {
    this.#unconfirmed.length = 0;
    if (this.#newest !== undefined) this.#firstSequence = (this.#newest + 1) & 0xffff;
  }

  /**
   * Repeats what is still known of these packets, within the limits. A packet that is requested again before its repetition can
   * have arrived is not repeated, and neither is one that is too old.
   * @param lossRate share of packets that the path loses, 0 to 1. On a long, lossy path each repetition is sent twice.
   */
  repeat(sequences: readonly number[], nowMs: number, roundTripMs = ASSUMED_ROUND_TRIP_MS, lossRate = 0): void {
    const intervalMs = Math.max(roundTripMs * INTERVAL_ROUND_TRIPS, MIN_INTERVAL_MS);
    const copies = roundTripMs >= LONG_ROUND_TRIP_MS && lossRate >= TWICE_FROM_LOSS && this.#rtx ? 2 : 1;
    for (const sequence of sequences) {
      if (nowMs - this.#history.repeatedAtMs(sequence) < intervalMs) continue;
      this.#repeat(sequence, nowMs, copies);
    }
  }

  /** Repeats the packets once more of which the viewer has reported the repetition lost: it would request them later. */
  repeatLost(nowMs: number): void {
    if (!this.#fateOf || this.#unconfirmed.length === 0) return;
    const waiting = this.#unconfirmed.splice(0);
    for (const repetition of waiting) {
      const { sequence, transportSequence, atMs } = repetition;
      // One that was repeated since by request is on its way.
      if (this.#history.repeatedAtMs(sequence) > atMs) continue;
      const fate = this.#fateOf(transportSequence);
      if (fate === 'in-flight') this.#unconfirmed.push(repetition);
      else if (fate === 'lost') this.#repeat(sequence, nowMs, 1);
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

  #repeat(sequence: number, nowMs: number, copies: number): void {
    const packet = isBefore(sequence, this.#firstSequence) ? undefined : this.#history.find(sequence);
    if (!packet || this.#isTooOld(packet)) return;
    if (!this.#budget.spend((RTP_HEADER_BYTES + packet.payload.length) * copies)) return;
    this.#history.markRepeated(sequence, nowMs);
    for (let i = 0; i < copies; i++) {
      this.#repeated++;
      this.#send(packet);
    }
    if (!this.#rtx || copies > 1 || this.#unconfirmed.length >= MAX_UNCONFIRMED) return;
    const transportSequence = transportSequenceOf(this.#rtx.extension);
    if (transportSequence !== undefined) this.#unconfirmed.push({ sequence, transportSequence, atMs: nowMs });
  }

  #isTooOld({ sequence, timestamp }: SentPacket): boolean {
    const ageTicks = (this.#newestTimestamp - timestamp) >>> 0;
    return (
      ageTicks > (isBefore(sequence, this.#keyframeSequence) ? this.#maxAgeBeforeKeyframeTicks : this.#maxAgeTicks)
    );
  }

  #send(packet: SentPacket, padding = false): void {
    if (packet.pictureId !== NO_PICTURE_ID) writePictureId(packet.payload, packet.pictureId);
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

/** @returns whether a sequence number precedes another one, which may have wrapped (RFC 3550 §A.1). */
function isBefore(sequence: number, other: number | undefined): boolean {
  return other !== undefined && ((sequence - other) & 0x8000) !== 0;
}
