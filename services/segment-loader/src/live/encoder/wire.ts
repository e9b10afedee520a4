import type { Alpha, Codec, PixelFormat, Rational } from '@humancast/protocol';

/**
 * Format of messages between service and encoder process on the process's standard input and output, little-endian:
 *
 *     0  u32    length of the body
 *     4  u8     kind
 *     5  u8     rendition
 *     6  u8     flags: bit 0 set on keyframes
 *     7  u8     0
 *     8  u32    frame number or count
 *     12 …      body
 */
export const WIRE_HEADER_BYTES = 12;

export const TO_ENCODER = {
  /** Body: {@link EncoderSetup} as JSON. */
  setup: 1,
  /** Body: one frame in the set-up's pixel format, to be encoded `count` times. */
  frame: 2,
  /** Encodes the last frame `count` times more, or black if there was none. */
  repeat: 3,
  /**
   * Body: an encoded keyframe that serves as the frame until the first one comes; rendition: 0 = VP8, 1 = H.264; count: 1 if
   * its color is above its matte.
   */
  still: 4,
  /** End of input. */
  end: 5,
  /** Body: the image below every merged frame, I420 of the composition's size; sent before the first frame. */
  below: 6,
  /** Body: the image above every merged frame, I420 with an alpha plane. */
  above: 7,
} as const;

export const FROM_ENCODER = {
  /** The encoder is ready for a set-up, or has applied it. */
  ready: 1,
  /** Body: an encoded frame. */
  frame: 2,
  /** A frame, still or repetition was processed. */
  taken: 3,
  /** Body: code and message of an error as JSON. The process exits. */
  failed: 4,
  /** All frames were sent. The process exits. */
  ended: 5,
  /** The number of renditions that are encoded has changed; rendition: that number. */
  renditions: 6,
} as const;

/** How frames are merged with the images below and above them. */
export interface MergeSetup {
  /** Width of the composition, px. */
  readonly width: number;
  readonly height: number;
  /** Color matrix of both images. */
  readonly matrix: 'bt601' | 'bt709';
  /** FFmpeg filters from the producer's frame to one with an alpha channel, of the size at which it is shown. */
  readonly filters: string;
  /** Whether the image below has an alpha plane. */
  readonly isTransparent: boolean;
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
    readonly alpha?: Alpha | undefined;
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
