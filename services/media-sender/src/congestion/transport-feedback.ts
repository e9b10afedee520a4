/** Transport-wide feedback, RTCP PT 205 FMT 15 (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). */

/** Maximum number of packets in one feedback message, more than any receiver reports at once. */
export const MAX_FEEDBACK_PACKETS = 2048;
/** A receive delta has units of 250 µs, the reference time of 64 ms. */
const TICKS_PER_REFERENCE = 256;
export const TICK_MS = 0.25;

const HEADER_BYTES = 20;
const NOT_RECEIVED = 0;
const SMALL_DELTA = 1;
const LARGE_DELTA = 2;

/** Called for each packet that the feedback covers, in order of sequence numbers. */
export interface FeedbackVisitor {
  /** @param arrivalTicks Arrival time on the receiver's clock, in units of 250 µs, relative to the 24-bit reference time. */
  received(sequence: number, arrivalTicks: number): void;
  notReceived(sequence: number): void;
}

/** Shared by all connections of a process, because nothing is kept between two messages. */
const symbols = new Uint8Array(MAX_FEEDBACK_PACKETS);

/**
 * Reads one feedback message. A message that is damaged anywhere reports nothing.
 * @param packet The RTCP packet, including its header.
 * @returns Whether the message is well-formed.
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

/** @returns The position of the deltas; `undefined` for a message that is truncated or uses the reserved symbol. */
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

/** Reads a run length chunk: one symbol for up to 8191 packets. */
function readRun(chunk: number, from: number, count: number): number | undefined {
  const symbol = (chunk >> 13) & 3;
  const run = chunk & 0x1fff;
  if (run === 0 || symbol > LARGE_DELTA) return undefined;
  const end = Math.min(from + run, count);
  symbols.fill(symbol, from, end);
  return end;
}

/** Reads a status vector chunk: fourteen 1-bit symbols or seven 2-bit ones. */
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
