import type { PacketizedFrame } from './packetized-frame.js';
import { evenPieces, MAX_PAYLOAD_BYTES } from './payload-size.js';

/** NAL unit types (ITU-T H.264 table 7-1, RFC 6184 §5.2). */
const NAL_ACCESS_UNIT_DELIMITER = 9;
const NAL_FILLER_DATA = 12;
const NAL_STAP_A = 24;
const NAL_FU_A = 28;

const NAL_TYPE_MASK = 0x1f;
const F_BIT = 0x80;
const NRI_MASK = 0x60;
const FU_START = 0x80;
const FU_END = 0x40;
const FU_HEADER_BYTES = 2;
const STAP_HEADER_BYTES = 1;
const STAP_SIZE_BYTES = 2;

/**
 * Packetizes an H.264 access unit (Annex B) in packetization mode 1 (RFC 6184 §6.3): NAL units that fit together share one
 * STAP-A, as parameter sets with what follows them; larger ones are split into FU-A. Delimiters and filler are dropped,
 * because RTP carries their information.
 *
 * @throws RangeError if there is no NAL unit.
 */
export function packetizeH264(data: Buffer, keyframe: boolean, maxPayloadBytes = MAX_PAYLOAD_BYTES): PacketizedFrame {
  const payloads: Buffer[] = [];
  let group: Buffer[] = [];
  let groupBytes = STAP_HEADER_BYTES;
  const flush = () => {
    const [only] = group;
    if (only) payloads.push(group.length === 1 ? only : aggregate(group, groupBytes));
    group = [];
    groupBytes = STAP_HEADER_BYTES;
  };
  for (const nal of nalUnits(data)) {
    const aggregatedBytes = STAP_SIZE_BYTES + nal.length;
    if (groupBytes + aggregatedBytes > maxPayloadBytes) flush();
    if (nal.length > maxPayloadBytes) {
      fragment(nal, maxPayloadBytes, payloads);
    } else {
      group.push(nal);
      groupBytes += aggregatedBytes;
    }
  }
  flush();
  if (payloads.length === 0) throw new RangeError('an H.264 access unit has at least one NAL unit');
  return { payloads, keyframe, bytes: payloads.reduce((sum, payload) => sum + payload.length, 0) };
}

/** STAP-A (RFC 6184 §5.7.1): F is the OR of all F bits, NRI the highest of all. */
function aggregate(nals: readonly Buffer[], bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(bytes);
  let header = NAL_STAP_A;
  let at = STAP_HEADER_BYTES;
  for (const nal of nals) {
    const first = nal.readUInt8(0);
    header = (header & ~NRI_MASK) | (first & F_BIT) | Math.max(header & NRI_MASK, first & NRI_MASK);
    at = payload.writeUInt16BE(nal.length, at);
    at += nal.copy(payload, at);
  }
  payload[0] = header;
  return payload;
}

/** FU-A (RFC 6184 §5.8): the NAL unit's own header is spread over the two bytes in front of each piece. */
function fragment(nal: Buffer, maxPayloadBytes: number, payloads: Buffer[]): void {
  const header = nal.readUInt8(0);
  const bodyBytes = nal.length - 1;
  const { count, pieceBytes } = evenPieces(bodyBytes, maxPayloadBytes - FU_HEADER_BYTES);
  const memory = Buffer.allocUnsafe(bodyBytes + count * FU_HEADER_BYTES);
  let at = 0;
  for (let from = 0; from < bodyBytes; from += pieceBytes) {
    const to = Math.min(from + pieceBytes, bodyBytes);
    const position = (from === 0 ? FU_START : 0) | (to === bodyBytes ? FU_END : 0);
    memory[at] = (header & (F_BIT | NRI_MASK)) | NAL_FU_A;
    memory[at + 1] = position | (header & NAL_TYPE_MASK);
    nal.copy(memory, at + FU_HEADER_BYTES, 1 + from, 1 + to);
    const end = at + FU_HEADER_BYTES + to - from;
    payloads.push(memory.subarray(at, end));
    at = end;
  }
}

/** @returns The NAL units between start codes (ITU-T H.264 Annex B) without trailing zeros, as views. */
function* nalUnits(data: Buffer): Generator<Buffer> {
  let start = startCode(data, 0).end;
  while (start < data.length) {
    const next = startCode(data, start);
    let end = next.begin;
    while (end > start && data[end - 1] === 0) end--;
    if (end > start && carriesPicture(data[start] ?? 0)) yield data.subarray(start, end);
    start = next.end;
  }
}

function carriesPicture(nalHeader: number): boolean {
  const type = nalHeader & NAL_TYPE_MASK;
  return type !== NAL_ACCESS_UNIT_DELIMITER && type !== NAL_FILLER_DATA;
}

const START_CODE = Buffer.from([0, 0, 1]);

function startCode(data: Buffer, from: number): { begin: number; end: number } {
  const begin = data.indexOf(START_CODE, from);
  return begin < 0 ? { begin: data.length, end: data.length } : { begin, end: begin + START_CODE.length };
}
