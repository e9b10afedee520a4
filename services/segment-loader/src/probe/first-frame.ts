import { z } from 'zod';
import { rationalSchema } from './rational.js';

/** What {@link parseFirstFrame} reads. */
export const FRAME_ENTRIES = 'frame=width,height,sample_aspect_ratio:frame_side_data=rotation';

const schema = z.object({
  frames: z
    .array(
      z.object({
        width: z.int().positive(),
        height: z.int().positive(),
        sample_aspect_ratio: rationalSchema,
        side_data_list: z.array(z.object({ rotation: z.number().optional().catch(undefined) })).default([]),
      }),
    )
    .default([]),
});

/** How a frame is drawn: what ffmpeg turns it by comes with the frame, wherever the file has it from (EXIF, SEI, a matrix). */
export interface FirstFrame {
  readonly width: number;
  readonly height: number;
  readonly pixelAspect: { readonly num: number; readonly den: number } | undefined;
  readonly rotationDegrees: number;
}

/** @returns the first frame that could be decoded, if there is one. @throws ZodError when this is not what ffprobe prints. */
export function parseFirstFrame(json: unknown): FirstFrame | undefined {
  const [frame] = schema.parse(json).frames;
  if (!frame) return undefined;
  const { width, height, sample_aspect_ratio: pixelAspect, side_data_list: data } = frame;
  return { width, height, pixelAspect, rotationDegrees: data.find((d) => d.rotation !== undefined)?.rotation ?? 0 };
}
