import { z } from 'zod';
import { type Orientation, orientationOf, sideDataSchema } from './orientation.js';
import { rationalSchema } from './rational.js';

/** Entries requested from ffprobe for {@link parseFirstFrame}. */
export const FRAME_ENTRIES = 'frame=width,height,sample_aspect_ratio:frame_side_data=displaymatrix';

const schema = z.object({
  frames: z
    .array(
      z.object({
        width: z.int().positive(),
        height: z.int().positive(),
        sample_aspect_ratio: rationalSchema,
        side_data_list: sideDataSchema,
      }),
    )
    .default([]),
});

/** Size of a stored frame, and what it states about its display. */
export interface FirstFrame {
  readonly width: number;
  readonly height: number;
  readonly pixelAspect: { readonly num: number; readonly den: number } | undefined;
  /** Orientation in the frame's own data (EXIF, SEI); `undefined` if there is none. */
  readonly orientation: Orientation | undefined;
}

/** @returns The first frame that could be decoded, if any. @throws ZodError if this is not a report of ffprobe. */
export function parseFirstFrame(json: unknown): FirstFrame | undefined {
  const [frame] = schema.parse(json).frames;
  if (!frame) return undefined;
  const { width, height, sample_aspect_ratio: pixelAspect, side_data_list: data } = frame;
  return { width, height, pixelAspect, orientation: orientationOf(data) };
}
