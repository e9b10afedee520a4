import { z } from 'zod';
import { type Orientation, orientationOf, sideDataSchema } from './orientation.js';
import { rationalSchema } from './rational.js';

/** What {@link parseFirstFrame} reads. */
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

/** How a frame is stored, and what it says about how it is to be drawn. */
export interface FirstFrame {
  readonly width: number;
  readonly height: number;
  readonly pixelAspect: { readonly num: number; readonly den: number } | undefined;
  /** What the frame itself says (EXIF, SEI); `undefined` if it says nothing. */
  readonly orientation: Orientation | undefined;
}

/** @returns the first frame that could be decoded, if there is one. @throws ZodError when this is not what ffprobe prints. */
export function parseFirstFrame(json: unknown): FirstFrame | undefined {
  const [frame] = schema.parse(json).frames;
  if (!frame) return undefined;
  const { width, height, sample_aspect_ratio: pixelAspect, side_data_list: data } = frame;
  return { width, height, pixelAspect, orientation: orientationOf(data) };
}
