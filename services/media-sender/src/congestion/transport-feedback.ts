/** Transport-wide feedback, RTCP PT 205 FMT 15 (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). */

/** Packets that one feedback message may cover: more than any receiver reports at once. */
export const MAX_FEEDBACK_PACKETS = 2048;
/** A receive delta counts 250 µs, the reference time 64 ms. */
const TICKS_PER_REFERENCE = 256;
export const TICK_MS = 0.25;

const HEADER_BYTES = 20;
const NOT_RECEIVED = 0;
const SMALL_DELTA = 1;
const LARGE_DELTA = 2;

/** One call per packet that the feedback covers, in the order of the sequence numbers. */
export interface FeedbackVisitor {
  /** @param arrivalTicks time of arrival on the receiver's clock, 250 µs each, relative to the 24-bit reference time. */
  received(sequence: number, arrivalTicks: number): void;
  notReceived(sequence: number): void;
}

/** Nothing is kept between two messages, so all connections of a process share it. */
const symbols = new Uint8Array(MAX_FEEDBACK_PACKETS);

/**
 * Reads one feedback message. Nothing is reported from a message that is damaged anywhere.
 * @param packet the RTCP packet, from its header on.
 * @returns whether the message is well-formed.
 */
export function readTransportFeedback(packet: Buffer, visitor: FeedbackVisitor): boolean {
  if (packet.length < HEADER_BYTES) return false;
  const base = packet.readUInt16BE(12);
  const count = packet.readUInt16BE(14);
  if (count === 0 || count > MAX_FEEDBACK_PACKETS) return false;
  const deltasAt = readSymbols(packet, count);
  if (deltasAt === undefined || deltasAt + deltaBytes(count) > packet.length) return false;
  let at = deltasAt;
  let ticks = packet.readIntBE(16, 3) * TICKS_PER_REFERENCE;
  for (let i = 0; i < count; i++) {
    const sequence = (base + i) & 0xffff;
    const symbol = symbols[i];
    if (symbol === NOT_RECEIVED) {
      visitor.notReceived(sequence);
      continue;
    }
    ticks += symbol === SMALL_DELTA ? packet.readUInt8(at) : packet.readInt16BE(at);
    at += symbol === SMALL_DELTA ? 1 : 2;
    visitor.received(sequence, ticks);
  }
  return true;
}

/** @returns where the deltas begin; `undefined` for a message that ends early or uses the reserved symbol. */
function readSymbols(packet: Buffer, count: number): number | undefined {
  let at = HEADER_BYTES;
  for (let i = 0; i < count; at += 2) {
    if (at + 2 > packet.length) return undefined;
    const chunk = packet.readUInt16BE(at);
    const end = chunk & 0x8000 ? readVector(chunk, i, count) : readRun(chunk, i, count);
    if (end === undefined) return undefined;
    i = end;
  }
  return at;
}

/** A run length chunk: one symbol for up to 8191 packets. */
function readRun(chunk: number, from: number, count: number): number | undefined {
  const symbol = (chunk >> 13) & 3;
  const run = chunk & 0x1fff;
  if (run === 0 || symbol > LARGE_DELTA) return undefined;
  const end = Math.min(from + run, count);
  symbols.fill(symbol, from, end);
  return end;
}

/** A status vector chunk: fourteen symbols of one bit, or seven of two. */
function readVector(chunk: number, from: number, count: number): number | undefined {
  const wide = (chunk & 0x4000) !== 0;
  const bits = wide ? 2 : 1;
  const end = Math.min(from + (wide ? 7 : 14), count);
  for (let i = from, shift = 14 - bits; i < end; i++, shift -= bits) {
    const symbol = (chunk >> shift) & (wide ? 3 : 1);
    if (symbol > LARGE_DELTA) return undefined;
    symbols[i] = symbol;
  }
  return end;
}

function deltaBytes(count: number): number {
  let bytes = 0;
  for (let i = 0; i < count; i++) bytes += symbols[i] ?? 0;
  return bytes;
}
