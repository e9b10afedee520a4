import type { PacketizedFrame } from './packetized-frame.js';
import { evenPieces, MAX_PAYLOAD_BYTES } from './payload-size.js';

/** Payload descriptor's S bit: start of a VP8 partition (RFC 7741 §4.2). */
const START_OF_PARTITION = 0x10;
const DESCRIPTOR_BYTES = 1;

/**
 * A VP8 frame as RTP payloads with the one-byte payload descriptor (RFC 7741 §4.2). It leaves out the optional picture id,
 * which counts frames per stream: so the payloads belong to no stream and all viewers share them.
 *
 * @throws RangeError when the frame is empty.
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
    memory[at] = from === 0 ? START_OF_PARTITION : 0;
    data.copy(memory, at + DESCRIPTOR_BYTES, from, to);
    const end = at + DESCRIPTOR_BYTES + to - from;
    payloads.push(memory.subarray(at, end));
    at = end;
  }
  return { payloads, keyframe, bytes };
}
