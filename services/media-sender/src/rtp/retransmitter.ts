import type { PacketFate } from '../congestion/send-history.js';
import { transportSequenceOf } from './congestion-extension.js';
import { NO_PICTURE_ID, PacketHistory, type SentPacket } from './packet-history.js';
import type { RepairBudget } from './repair-budget.js';
import { RTP_HEADER_BYTES, type RtpStream } from './rtp-stream.js';
import { writePictureId } from './vp8-packetizer.js';

export interface RetransmitterOptions {
  readonly original: RtpStream;
  /** `undefined`: packets are sent again unchanged. */
  readonly rtx: RtpStream | undefined;
  readonly budget: RepairBudget;
  /** Number of remembered packets; a power of two. */
  readonly historyPackets: number;
  /** Maximum age relative to the newest packet, in ticks of the stream's clock. Default: unlimited. */
  readonly maxAgeTicks?: number;
  /** Maximum age of packets before the last keyframe. Default: `maxAgeTicks`. */
  readonly maxAgeBeforeKeyframeTicks?: number;
  /** @returns The viewer's feedback about a packet of the retransmission stream, by transport-wide sequence number. */
  readonly fateOf?: (transportSequence: number) => PacketFate;
}

/** Number of remembered video packets: 2.7 s of full packets at 3.5 Mb/s. */
export const VIDEO_HISTORY_PACKETS = 1024;
/** 90 kHz ticks; viewers delay video by up to 700 ms while they wait for repairs. */
export const VIDEO_MAX_AGE_BEFORE_KEYFRAME_TICKS = 72_000;
/** Assumed until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
/**
 * A request that comes earlier after a retransmission, in round trips, was sent before that could have arrived; less than 1,
 * because measured round trips vary.
 */
const INTERVAL_ROUND_TRIPS = 0.9;
const MIN_INTERVAL_MS = 15;
/** Maximum number of retransmissions whose fate is tracked; further ones are repeated only on request. */
const MAX_UNCONFIRMED = 128;
/** On a longer path, ms, only one retransmission can be in time, so it is sent twice if the loss exceeds the share below. */
const LONG_ROUND_TRIP_MS = 150;
const TWICE_FROM_LOSS = 0.005;

/** Retransmits lost packets of one stream, as RTX packets (RFC 4588) if the viewer accepts them. */
export class Retransmitter {
  readonly #original: RtpStream;
  readonly #rtx: RtpStream | undefined;
  readonly #budget: RepairBudget;
  readonly #history: PacketHistory;
  readonly #maxAgeTicks: number;
  readonly #maxAgeBeforeKeyframeTicks: number;
  readonly #fateOf: RetransmitterOptions['fateOf'];
  /** Retransmissions that the viewer has not acknowledged, oldest first. */
  readonly #unconfirmed: { readonly sequence: number; readonly transportSequence: number; readonly atMs: number }[] =
    [];
  /** First packet of the last keyframe. */
  #keyframeSequence: number | undefined;
  /** First packet that may be retransmitted. */
  #firstSequence: number | undefined;
  #newest: number | undefined;
  #newestTimestamp = 0;
  #repeated = 0;
  #repeatedBytes = 0;

  constructor({ original, rtx, budget, historyPackets, ...limits }: RetransmitterOptions) {
    this.#original = original;
    this.#rtx = rtx;
    this.#budget = budget;
    this.#history = new PacketHistory(historyPackets);
    this.#maxAgeTicks = limits.maxAgeTicks ?? Number.POSITIVE_INFINITY;
    this.#maxAgeBeforeKeyframeTicks = limits.maxAgeBeforeKeyframeTicks ?? this.#maxAgeTicks;
    this.#fateOf = limits.fateOf;
  }

  /** Number of packets retransmitted so far. */
  get repeated(): number {
    return this.#repeated;
  }

  /** Their headers and payloads before encryption. */
  get repeatedBytes(): number {
    return this.#repeatedBytes;
  }

  /**
   * Sends a packet and remembers it.
   * @param pictureId Written into the payload if it has a picture id (RFC 7741 §4.2).
   * @param payloadType Payload type of the packet. Default: the stream's.
   * @param retransmission Payload of a packet on the retransmission stream. Default: `payload`.
   * @returns The packet's sequence number.
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

  /** @param sequence First packet of a keyframe, at which decoding can restart. */
  beginKeyframe(sequence: number): void {
    this.#keyframeSequence = sequence;
  }

  /** Stops retransmission of everything sent so far, because something else replaces it. */
  forget(): void {
    this.#unconfirmed.length = 0;
    if (this.#newest !== undefined) this.#firstSequence = (this.#newest + 1) & 0xffff;
  }

  /**
   * Retransmits those of these packets that are still remembered, within the limits. A packet is skipped if it is too old,
   * or requested again before its retransmission can have arrived.
   * @param lossRate Loss of the path, 0 to 1. On a long, lossy path each retransmission is sent twice.
   */
  repeat(sequences: readonly number[], nowMs: number, roundTripMs = ASSUMED_ROUND_TRIP_MS, lossRate = 0): void {
    const intervalMs = Math.max(roundTripMs * INTERVAL_ROUND_TRIPS, MIN_INTERVAL_MS);
    const copies = roundTripMs >= LONG_ROUND_TRIP_MS && lossRate >= TWICE_FROM_LOSS && this.#rtx ? 2 : 1;
    for (const sequence of sequences) {
      if (nowMs - this.#history.repeatedAtMs(sequence) < intervalMs) continue;
      this.#repeat(sequence, nowMs, copies);
    }
  }

  /** Retransmits packets whose retransmission the viewer has reported lost, before it requests them again. */
  repeatLost(nowMs: number): void {
    if (!this.#fateOf || this.#unconfirmed.length === 0) return;
    const waiting = this.#unconfirmed.splice(0);
    for (const repetition of waiting) {
      const { sequence, transportSequence, atMs } = repetition;
      // Retransmitted since on request, so it is on its way.
      if (this.#history.repeatedAtMs(sequence) > atMs) continue;
      const fate = this.#fateOf(transportSequence);
      if (fate === 'in-flight') this.#unconfirmed.push(repetition);
      else if (fate === 'lost') this.#repeat(sequence, nowMs, 1);
    }
  }

  /**
   * Sends the newest packet again as padding for a probe, which the viewer discards as a duplicate. Requires a
   * retransmission stream.
   * @returns Its size in bytes; 0 if there is nothing to send.
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
    const bytes = RTP_HEADER_BYTES + packet.payload.length;
    if (!this.#budget.spend(bytes * copies)) return;
    this.#history.markRepeated(sequence, nowMs);
    for (let i = 0; i < copies; i++) {
      this.#repeated++;
      this.#repeatedBytes += bytes;
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

/** @returns Whether a sequence number precedes another one; both may have wrapped (RFC 3550 §A.1). */
function isBefore(sequence: number, other: number | undefined): boolean {
  return other !== undefined && ((sequence - other) & 0x8000) !== 0;
}
