import { z } from 'zod';
import { slugSchema } from './ids.js';

export const codecSchema = z.enum(['vp8', 'h264']);
export type Codec = z.infer<typeof codecSchema>;

/** An exact frame rate, e.g. 30000/1001. */
export const rationalSchema = z.object({ num: z.int().min(1).max(1_000_000), den: z.int().min(1).max(1_000_000) });
export type Rational = z.infer<typeof rationalSchema>;

/** Frames per second that video can be brought to. */
export const frameRateSchema = rationalSchema.refine(
  ({ num, den }) => num / den >= 5 && num / den <= 60,
  'must be from 5 to 60',
);

export const segmentRoleSchema = z.enum(['idle', 'speech']);
export const segmentSourceSchema = z.enum(['library', 'upload', 'live']);
/** `open`: it is still being made. */
export const segmentStateSchema = z.enum(['open', 'complete', 'failed']);

export const renditionSchema = z.object({
  /** Names this rendition within every segment of an avatar, e.g. `vp8-720p`. */
  id: slugSchema,
  codec: codecSchema,
  width: z.int().min(2).max(8192),
  height: z.int().min(2).max(8192),
  /** What the encoder was asked for, bits per second. */
  bitrateBps: z.int().min(1),
  /** Size of all GOPs together. */
  bytes: z.int().min(0),
});
export type Rendition = z.infer<typeof renditionSchema>;
