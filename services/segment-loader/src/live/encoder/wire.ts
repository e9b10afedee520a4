import type { Codec, PixelFormat, Rational } from '@humancast/protocol';

/**
 * What service and encoder process say to each other over the process's standard input and output:
 *
 *     0  u32    length of the body
 *     4  u8     kind
 *     5  u8     rendition
 *     6  u8     flags: bit 0 set on keyframes
 *     7  u8     0
 *     8  u32    number of the frame, or a count
 *     12 …      body
 *
 * Little endian.
 */
export const WIRE_HEADER_BYTES = 12;

export const TO_ENCODER = {
  /** Body: {@link EncoderSetup} as JSON. */
  setup: 1,
  /** Body: one frame in the set-up's pixel format, to be shown for `count` frames. */
  picture: 2,
  /** The last picture again, `count` times; black when there was none. */
  repeat: 3,
  /** Body: an encoded keyframe to be the picture as long as there is no other; rendition: 0 = VP8, 1 = H.264. */
  still: 4,
  /** Nothing more will come. */
  end: 5,
  /** Body: what lies below every picture that is merged, I420 of the whole's size; before the first of them. */
  below: 6,
  /** Body: what lies above, I420 and an alpha plane. */
  above: 7,
} as const;

export const FROM_ENCODER = {
  /** It can take a set-up, or took it. */
  ready: 1,
  /** Body: an encoded frame. */
  frame: 2,
  /** A picture, a still or a repetition was dealt with. */
  taken: 3,
  /** Body: what went wrong, as JSON: code and message. The process ends. */
  failed: 4,
  /** All frames are out. The process ends. */
  ended: 5,
} as const;

/** How pictures are merged with what is below and above them. */
export interface MergeSetup {
  /** Of the whole. */
  readonly width: number;
  readonly height: number;
  /** In which both of them are. */
  readonly matrix: 'bt601' | 'bt709';
  /** FFmpeg's, from the producer's picture to one with an alpha channel, as large as it is going to be seen. */
  readonly filters: string;
  readonly x: number;
  readonly y: number;
}

export interface EncoderSetup {
  readonly width: number;
  readonly height: number;
  readonly pixelFormat: PixelFormat;
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly merge?: MergeSetup | undefined;
  readonly renditions: readonly {
    readonly codec: Codec;
    readonly width: number;
    readonly height: number;
    readonly bitrateBps: number;
  }[];
}

export interface WireHead {
  readonly kind: number;
  readonly rendition?: number;
  readonly keyframe?: boolean;
  readonly count?: number;
}

export interface WireMessage extends Required<WireHead> {
  readonly body: Buffer;
}

export function wireHeader({ kind, rendition = 0, keyframe = false, count = 0 }: WireHead, bodyBytes: number): Buffer {
  const header = Buffer.alloc(WIRE_HEADER_BYTES);
  header.writeUInt32LE(bodyBytes, 0);
  header.writeUInt8(kind, 4);
  header.writeUInt8(rendition, 5);
  header.writeUInt8(keyframe ? 1 : 0, 6);
  header.writeUInt32LE(count, 8);
  return header;
}

export function readWireHeader(header: Buffer): Required<WireHead> & { bodyBytes: number } {
  return {
    bodyBytes: header.readUInt32LE(0),
    kind: header.readUInt8(4),
    rendition: header.readUInt8(5),
    keyframe: (header.readUInt8(6) & 1) === 1,
    count: header.readUInt32LE(8),
  };
}
