import { type TextCue, textCueSchema } from '@humancast/protocol';
import { manifestSchema, type SegmentManifest } from './manifest.js';

/**
 * A part that is appended to an open segment, as one binary value:
 *
 *     0  u8   kind: 1 = frame, 2 = audio, 3 = alive, 4 = end, 5 = text
 *     1  u8   frames: bit 0 set on keyframes
 *     2  u8   frames: index of the rendition in the manifest
 *     3  u8   0
 *     4  u32  frame, text: its number; audio: the position of its first PCM sample
 *     8  …    the encoded frame, s16le PCM, or as JSON (end) the final manifest, (text) the cue
 *
 * Little endian.
 */
export type LivePart =
  | {
      readonly kind: 'frame';
      readonly rendition: number;
      readonly frame: number;
      readonly keyframe: boolean;
      readonly data: Buffer;
    }
  | { readonly kind: 'audio'; readonly sample: number; readonly pcm: Buffer }
  /** Heartbeat of the writer. */
  | { readonly kind: 'alive' }
  /** The end of the segment, which this manifest describes. */
  | { readonly kind: 'end'; readonly manifest: SegmentManifest }
  | { readonly kind: 'text'; readonly number: number; readonly cue: TextCue };

const HEADER_BYTES = 8;
const KINDS = ['frame', 'audio', 'alive', 'end', 'text'] as const;

export function packLivePart(part: LivePart): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(1 + KINDS.indexOf(part.kind), 0);
  switch (part.kind) {
    case 'frame':
      header.writeUInt8(part.keyframe ? 1 : 0, 1);
      header.writeUInt8(part.rendition, 2);
      header.writeUInt32LE(part.frame, 4);
      return Buffer.concat([header, part.data]);
    case 'audio':
      header.writeUInt32LE(part.sample, 4);
      return Buffer.concat([header, part.pcm]);
    case 'alive':
      return header;
    case 'end':
      return Buffer.concat([header, Buffer.from(JSON.stringify(part.manifest))]);
    case 'text':
      header.writeUInt32LE(part.number, 4);
      return Buffer.concat([header, Buffer.from(JSON.stringify(part.cue))]);
  }
}

/**
 * @returns The part; frames and PCM are views into `value`.
 * @throws RangeError if it is not a part; ZodError if its manifest is invalid.
 */
export function unpackLivePart(value: Buffer): LivePart {
  if (value.length < HEADER_BYTES) throw new RangeError('not a part of a live segment');
  const body = value.subarray(HEADER_BYTES);
  const kind = KINDS[value.readUInt8(0) - 1];
  switch (kind) {
    case 'frame':
      return {
        kind,
        rendition: value.readUInt8(2),
        frame: value.readUInt32LE(4),
        keyframe: (value.readUInt8(1) & 1) === 1,
        data: body,
      };
    case 'audio':
      return { kind, sample: value.readUInt32LE(4), pcm: body };
    case 'alive':
      return { kind };
    case 'end':
      return { kind, manifest: manifestSchema.parse(JSON.parse(body.toString())) };
    case 'text':
      return { kind, number: value.readUInt32LE(4), cue: textCueSchema.parse(JSON.parse(body.toString())) };
    default:
      throw new RangeError(`a part of a live segment of unknown kind ${value.readUInt8(0)}`);
  }
}
