import type { PacketizedFrame } from './packetized-frame.js';
import { evenPieces, MAX_PAYLOAD_BYTES } from './payload-size.js';

/**
 * The payload descriptor (RFC 7741 §4.2): X and, at the start of a partition, S; I; a 15-bit picture id with its M bit.
 * Without picture ids, Chromium drops packets that are repaired after the next keyframe has arrived.
 */
const EXTENDED = 0x80;
const START_OF_PARTITION = 0x10;
const HAS_PICTURE_ID = 0x80;
const LONG_PICTURE_ID = 0x8000;
const PICTURE_ID_OFFSET = 2;
const DESCRIPTOR_BYTES = 4;

export const PICTURE_ID_MASK = 0x7fff;

/**
 * Packetizes a VP8 frame. All viewers share the payloads; as each viewer has its own frame count, {@link writePictureId}
 * sets the picture id just before a packet is encrypted.
 *
 * @throws RangeError if the frame is empty.
 */
export function packetizeVp8(data: Buffer, keyframe: boolean, maxPayloadBytes = MAX_PAYLOAD_BYTES): PacketizedFrame {
  if (data.length === 0) throw new RangeError('a VP8 frame is not empty');
  const { count, pieceBytes } = evenPieces(data.length, maxPayloadBytes - DESCRIPTOR_BYTES);
  const bytes = data.length + count * DESCRIPTOR_BYTES;
  const memory = Buffer.allocUnsafe(bytes);
  const payloads: Buffer[] = [];
  let at = 0;
  for (let from = 0; from < data.length; from += pieceBytes) {
    const to = Math.min(from + pieceBytes, data.length);
    memory[at] = from === 0 ? EXTENDED | START_OF_PARTITION : EXTENDED;
    memory[at + 1] = HAS_PICTURE_ID;
    writePictureId(memory, 0, at);
    data.copy(memory, at + DESCRIPTOR_BYTES, from, to);
    const end = at + DESCRIPTOR_BYTES + to - from;
    payloads.push(memory.subarray(at, end));
    at = end;
  }
  return { payloads, keyframe, bytes, hasPictureId: true };
}

/** @param payload A VP8 payload, or memory that has one at `at`. @param pictureId 15 bits. */
export function writePictureId(payload: Buffer, pictureId: number, at = 0): void {
  payload.writeUInt16BE(LONG_PICTURE_ID | pictureId, at + PICTURE_ID_OFFSET);
}
