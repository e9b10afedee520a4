import type { Codec } from '@humancast/protocol';
import { packetizeH264 } from './h264-packetizer.js';
import type { PacketizedFrame } from './packetized-frame.js';
import { packetizeVp8 } from './vp8-packetizer.js';
import { Vp8References } from './vp8-references.js';

/** @throws RangeError when there is nothing in the frame. */
export type Packetizer = (data: Buffer, keyframe: boolean) => PacketizedFrame;

/**
 * @returns what makes RTP payloads of the frames of one rendition, in the order of the stream, from a keyframe on. It tells which
 * VP8 frames may be left out; of H.264, none may.
 */
export function packetizerOf(codec: Codec): Packetizer {
  if (codec === 'h264') return (data, keyframe) => packetizeH264(data, keyframe);
  const references = new Vp8References();
  return (data, keyframe) => ({ ...packetizeVp8(data, keyframe), discardable: references.isDiscardable(data) });
}

/**
 * Makes RTP payloads of one encoded frame: a VP8 frame, or an H.264 access unit in Annex B form.
 * @throws RangeError when there is nothing in it.
 */
export function packetize(codec: Codec, data: Buffer, keyframe: boolean): PacketizedFrame {
  switch (codec) {
    case 'vp8':
      return packetizeVp8(data, keyframe);
    case 'h264':
      return packetizeH264(data, keyframe);
  }
}
