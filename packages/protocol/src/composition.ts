import { z } from 'zod';
import { slugSchema } from './ids.js';
import { frameRateSchema } from './segment.js';

const even = (schema: z.ZodInt) => schema.refine((length) => length % 2 === 0, 'must be even');
const sideSchema = even(z.int().min(16).max(3840));
const colorSchema = z.string().regex(/^#[0-9a-fA-F]{6}$/, 'must be a color like #00ff00');

/** In pixels of the composed picture, from its upper left corner. */
export const boxSchema = z.object({
  x: z.int().min(0).max(3840),
  y: z.int().min(0).max(3840),
  width: z.int().min(16).max(3840),
  height: z.int().min(16).max(3840),
});
export type Box = z.infer<typeof boxSchema>;

/** How a picture fills its box: whole, with what is below it seen beside it; cropped to fill it; or out of proportion. */
export const fitSchema = z.enum(['contain', 'cover', 'stretch']);
export type Fit = z.infer<typeof fitSchema>;

/** What of a picture is seen through: its own alpha channel, or what is close to a color. */
export const layerKeySchema = z.union([
  z.literal('alpha'),
  z.object({
    color: colorSchema,
    /** 0.01 takes out only the very color, 1 everything. */
    similarity: z.number().min(0.01).max(1).default(0.25),
    /** How gradually it becomes opaque beyond that; 0 is a hard edge. */
    blend: z.number().min(0).max(1).default(0.05),
  }),
]);
export type LayerKey = z.infer<typeof layerKeySchema>;

export const layerSchema = z.object({
  input: slugSchema,
  /** Default: by the layout. */
  box: boxSchema.optional(),
  fit: fitSchema.optional(),
  key: layerKeySchema.optional(),
  /** What is seen of an input that ends before the composition does. A still picture always stays. */
  atEnd: z.enum(['freeze', 'disappear', 'loop']).default('freeze'),
  /** Where in the composition the input begins; before, the layer is not there. */
  startMs: z.int().min(0).max(86_400_000).default(0),
});
export type Layer = z.infer<typeof layerSchema>;

export const mixedSoundSchema = z.object({
  input: slugSchema,
  gainDb: z.number().min(-60).max(20).default(0),
});

/** Places for layers that have no box of their own. */
export const layoutSchema = z.enum(['side-by-side', 'grid', 'picture-in-picture', 'over-background']);
export type Layout = z.infer<typeof layoutSchema>;

/**
 * One picture and one sound made of several inputs: merged once, when the segment is loaded, so that it costs a viewer what
 * any other does. The first layer is the lowest.
 */
export const compositionSchema = z
  .object({
    width: sideSchema,
    height: sideSchema,
    /** Default: the avatar's, else that of the fastest layer. Every input is brought to it. */
    fps: frameRateSchema.optional(),
    /** Where no layer is. */
    background: colorSchema.default('#000000'),
    layout: layoutSchema.optional(),
    layers: z.array(layerSchema).min(1).max(16),
    /** Default: the sound of every layer that has one. Inputs without a picture may be named here. */
    audio: z.array(mixedSoundSchema).max(16).optional(),
    /** The composition is as long as this input. Default: as the longest layer that doesn't loop. */
    lengthOf: slugSchema.optional(),
  })
  .superRefine(({ width, height, layout, layers, audio, lengthOf }, context) => {
    const complain = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    for (const [i, { box }] of layers.entries()) {
      if (!box && !layout)
        complain(['layers', i, 'box'], 'must be given, for there is no "layout" that would place it');
      if (box && (box.x + box.width > width || box.y + box.height > height)) {
        complain(['layers', i, 'box'], `must lie within the ${width}×${height} of the composition`);
      }
    }
    const sounds = audio?.map(({ input }) => input) ?? [];
    if (new Set(sounds).size < sounds.length) complain(['audio'], 'must name each input once');
    if (lengthOf !== undefined && !inputsOf({ layers, audio }).includes(lengthOf))
      complain(['lengthOf'], 'must be one of the inputs');
  });
export type Composition = z.infer<typeof compositionSchema>;

/** The names of all inputs: layers from the lowest, then those that are only heard. */
export function inputsOf({ layers, audio = [] }: Pick<Composition, 'layers' | 'audio'>): string[] {
  return [...new Set([...layers, ...audio].map(({ input }) => input))];
}
