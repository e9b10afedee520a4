import type { EncodedFrame } from '@humancast/shared';

/** Cuts an encoder's byte stream into frames, wherever the chunks happen to end. */
export interface FrameParser {
  /** @throws RangeError when the stream is not of its format. */
  push(chunk: Buffer): EncodedFrame[];
  /** After the last chunk. @throws RangeError when the stream ends inside a frame. */
  end(): EncodedFrame[];
}

/** More than any encoder makes of one frame at the largest size and rate; past it, the stream is out of step. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;
