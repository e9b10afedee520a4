import type { Codec } from '@humancast/protocol';
import { packetizeH264 } from './h264-packetizer.js';
import type { PacketizedFrame } from './packetized-frame.js';
import { packetizeVp8 } from './vp8-packetizer.js';
import { Vp8References } from './vp8-references.js';

/** @throws RangeError if the frame is empty. */
export type Packetizer = (data: Buffer, keyframe: boolean) => PacketizedFrame;

/**
 * @returns A packetizer for the frames of one rendition, which are passed in stream order from a keyframe on. It marks VP8
 * frames that are discardable; H.264 frames never are.
 */
export function packetizerOf(codec: Codec): Packetizer {
  if (codec === 'h264') return (data, keyframe) => packetizeH264(data, keyframe);
  const references = new Vp8References();
  return (data, keyframe) => ({ ...packetizeVp8(data, keyframe), discardable: references.isDiscardable(data) });
}

/**
 * Splits an encoded frame into RTP payloads: a VP8 frame, or an H.264 access unit in Annex B form.
 * @throws RangeError if it is empty.
 */
export function packetize(codec: Codec, data: Buffer, keyframe: boolean): PacketizedFrame {
  switch (codec) {
    case 'vp8':
      return packetizeVp8(data, keyframe);
    case 'h264':
      return packetizeH264(data, keyframe);
  }
}
