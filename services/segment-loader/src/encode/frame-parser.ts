import type { EncodedFrame } from '@humancast/shared';

/** Splits an encoder's byte stream into frames, independently of chunk boundaries. */
export interface FrameParser {
  /** @throws RangeError if the stream does not have the expected format. */
  push(chunk: Buffer): EncodedFrame[];
  /** Ends the stream. @throws RangeError if it ends inside a frame. */
  end(): EncodedFrame[];
}

/** Larger than any encoded frame at the largest size and rate; beyond it, the stream is out of sync. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;
