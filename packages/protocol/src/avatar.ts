import { z } from 'zod';
import { compositionSchema, inputsOf } from './composition.js';
import { slugSchema } from './ids.js';
import { codecSchema, frameRateSchema } from './segment.js';

/**
 * When an idle clip is left for speech: at the next frame (`now`), at the clip's end, or at the next marked frame or its
 * end, whichever is first.
 */
export const cutPolicySchema = z.enum(['now', 'clip-end', 'marks']);
export type CutPolicy = z.infer<typeof cutPolicySchema>;

/** One encoding to make of every segment of an avatar. */
export const renditionConfigSchema = z.object({
  id: slugSchema,
  codec: codecSchema,
  /** The picture is scaled to fit inside, never enlarged; both become even. */
  maxWidth: z.int().min(16).max(3840),
  maxHeight: z.int().min(16).max(3840),
  bitrateBps: z.int().min(50_000).max(20_000_000),
});
export type RenditionConfig = z.infer<typeof renditionConfigSchema>;

/** What a segment's sound can be brought to: integrated loudness, LUFS (EBU R 128). */
export const loudnessSchema = z.number().min(-36).max(-9);

/** In an avatar's composition, the segment itself. */
export const MAIN_INPUT = 'main';

/** As it is stored; what a caller sends is held to it by `parseStrictRequest`. */
export const avatarDefinitionSchema = z.object({
  /** For people. */
  name: z.string().min(1).max(100).optional(),
  /** Every segment is brought to this rate; without it each keeps its own, up to 60. */
  fps: frameRateSchema.optional(),
  renditions: z
    .array(renditionConfigSchema)
    .min(1)
    .max(4)
    .refine((list) => new Set(list.map(({ id }) => id)).size === list.length, 'must have different ids')
    .optional(),
  cutPolicy: cutPolicySchema.default('now'),
  /** What the sound of every speech segment is brought to, LUFS; without it each keeps its own level. Idle clips and live pushes always do. */
  loudness: loudnessSchema.optional(),
  /** What every segment is merged into. Its own file is the input `main`, the others are files of the avatar's `layers/`. */
  composition: compositionSchema
    .refine((composition) => inputsOf(composition).includes(MAIN_INPUT), `must have the input "${MAIN_INPUT}"`)
    .optional(),
});
export type AvatarDefinition = z.infer<typeof avatarDefinitionSchema>;

export const avatarSchema = avatarDefinitionSchema.extend({ id: slugSchema });
export type Avatar = z.infer<typeof avatarSchema>;
