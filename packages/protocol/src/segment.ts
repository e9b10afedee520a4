import { z } from 'zod';
import { slugSchema } from './ids.js';

export const codecSchema = z.enum(['vp8', 'h264']);
export type Codec = z.infer<typeof codecSchema>;

/** How transparent video is encoded: `stack` is the color above its matte, in one picture of twice the height. */
export const alphaSchema = z.enum(['stack']);
export type Alpha = z.infer<typeof alphaSchema>;

/** An exact frame rate, e.g. 30000/1001. */
export const rationalSchema = z.object({ num: z.int().min(1).max(1_000_000), den: z.int().min(1).max(1_000_000) });
export type Rational = z.infer<typeof rationalSchema>;

/** Frame rates to which video can be converted, frames per second. */
export const frameRateSchema = rationalSchema.refine(
  ({ num, den }) => num / den >= 5 && num / den <= 60,
  'must be from 5 to 60',
);

export const segmentRoleSchema = z.enum(['idle', 'speech']);
export const segmentSourceSchema = z.enum(['library', 'upload', 'live']);
/** `open`: the segment is still growing. */
export const segmentStateSchema = z.enum(['open', 'complete', 'failed']);

export const renditionSchema = z.object({
  /** Identifies this rendition within every segment of an avatar, e.g. `vp8-720p`. */
  id: slugSchema,
  codec: codecSchema,
  alpha: alphaSchema.optional(),
  width: z.int().min(2).max(8192),
  height: z.int().min(2).max(8192),
  /** Target bitrate of the encoder, bits per second. */
  bitrateBps: z.int().min(1),
  /** Size of all GOPs, bytes. */
  bytes: z.int().min(0),
});
export type Rendition = z.infer<typeof renditionSchema>;

/** A rendition that a segment does not have. */
export const missingRenditionSchema = renditionSchema.omit({ bytes: true }).extend({
  failure: z
    .object({ code: z.string(), message: z.string() })
    .optional()
    .describe('Why it could not be encoded; missing while it is still to be encoded'),
});
export type MissingRendition = z.infer<typeof missingRenditionSchema>;
