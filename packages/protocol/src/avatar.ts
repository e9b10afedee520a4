import { z } from 'zod';
import { compositionSchema, inputsOf } from './composition.js';
import { slugSchema } from './ids.js';
import { alphaSchema, codecSchema, frameRateSchema } from './segment.js';

export const cutPolicySchema = z.enum(['now', 'clip-end', 'marks']);
export type CutPolicy = z.infer<typeof cutPolicySchema>;

/** One encoding of every segment of an avatar. */
export const renditionConfigSchema = z.object({
  id: slugSchema.describe('Names the rendition within every segment'),
  codec: codecSchema,
  maxWidth: z.int().min(16).max(3840).describe('Video is scaled down to fit, never up; both sides become even'),
  maxHeight: z.int().min(16).max(3840),
  bitrateBps: z.int().min(50_000).max(20_000_000).describe('Target bitrate, bits per second'),
});
export type RenditionConfig = z.infer<typeof renditionConfigSchema>;

/** Range of target loudness (integrated, EBU R 128), LUFS. */
export const LOUDNESS_LUFS = { min: -36, max: -9 } as const;
export const loudnessSchema = z.number().min(LOUDNESS_LUFS.min).max(LOUDNESS_LUFS.max);

/** Input name of the segment itself in an avatar's composition. */
export const MAIN_INPUT = 'main';

/** An avatar's definition, as stored. Services parse callers' definitions with `parseStrictRequest`. */
export const avatarDefinitionSchema = z.object({
  name: z.string().min(1).max(100).optional().describe('Name for humans'),
  fps: frameRateSchema
    .optional()
    .describe('Frame rate of every segment; by default each segment keeps its own, up to 60'),
  renditions: z
    .array(renditionConfigSchema)
    .min(1)
    .max(4)
    .refine((list) => new Set(list.map(({ id }) => id)).size === list.length, 'must have different ids')
    .optional()
    .describe("Encodings of every segment; default: the service's `RENDITIONS`"),
  alpha: alphaSchema
    .optional()
    .describe(
      'Keeps transparency: every segment is encoded as color above matte, in pictures of twice the height, and `<human-cast>` draws it without a background. Default: transparent areas become black',
    ),
  cutPolicy: cutPolicySchema
    .default('now')
    .describe(
      'When speech may replace an idle clip: at the next frame (`now`), at the end of the clip, or at the next marked frame or the end',
    ),
  loudness: loudnessSchema
    .optional()
    .describe(
      'Target loudness of speech segments, LUFS; by default each keeps its own. Idle clips and live pushes always do',
    ),
  composition: compositionSchema
    .refine((composition) => inputsOf(composition).includes(MAIN_INPUT), `must have the input "${MAIN_INPUT}"`)
    .optional()
    .describe(
      "Composition of every segment; the segment's file is the input `main`, the others are in the avatar's `layers/`",
    ),
});
export type AvatarDefinition = z.infer<typeof avatarDefinitionSchema>;

export const avatarSchema = avatarDefinitionSchema.extend({ id: slugSchema });
export type Avatar = z.infer<typeof avatarSchema>;
