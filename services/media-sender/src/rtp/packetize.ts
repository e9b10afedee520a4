import type { Codec } from '@humancast/protocol';
import { packetizeH264 } from './h264-packetizer.js';
import type { PacketizedFrame } from './packetized-frame.js';
import { packetizeVp8 } from './vp8-packetizer.js';

/**
 * One encoded frame as RTP payloads: a VP8 frame, or an H.264 access unit in Annex B form.
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
