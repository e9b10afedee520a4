import { z } from 'zod';
import { slugSchema } from './ids.js';
import { frameRateSchema } from './segment.js';

const even = (schema: z.ZodInt) => schema.refine((length) => length % 2 === 0, 'must be even');
const sideSchema = even(z.int().min(16).max(3840));
const colorSchema = z.string().regex(/^#[0-9a-fA-F]{6}$/, 'must be a color like #00ff00');

export const boxSchema = z
  .object({
    x: z.int().min(0).max(3840),
    y: z.int().min(0).max(3840),
    width: z.int().min(16).max(3840),
    height: z.int().min(16).max(3840),
  })
  .describe('Rectangle in the composition, pixels from its upper left corner');
export type Box = z.infer<typeof boxSchema>;

export const fitSchema = z
  .enum(['contain', 'cover', 'stretch'])
  .describe('How a layer fills its box: scaled to fit inside, cropped to fill it, or distorted');
export type Fit = z.infer<typeof fitSchema>;

export const layerKeySchema = z
  .union([
    z.literal('alpha'),
    z.object({
      color: colorSchema,
      similarity: z
        .number()
        .min(0.01)
        .max(1)
        .default(0.25)
        .describe('0.01 removes only the color itself, 1 everything'),
      blend: z.number().min(0).max(1).default(0.05).describe('Softness of the edge; 0 is a hard edge'),
    }),
  ])
  .describe("Transparency: the layer's own alpha channel, or a color key");
export type LayerKey = z.infer<typeof layerKeySchema>;

export const layerSchema = z.object({
  input: slugSchema.describe('Name of the input'),
  box: boxSchema.optional().describe('Default: its position in the layout'),
  fit: fitSchema.optional(),
  key: layerKeySchema.optional(),
  atEnd: z
    .enum(['freeze', 'disappear', 'loop'])
    .default('freeze')
    .describe('Behavior of an input that ends before the composition; a still image always stays'),
  startMs: z
    .int()
    .min(0)
    .max(86_400_000)
    .default(0)
    .describe('When the input starts, ms; until then the layer is absent'),
});
export type Layer = z.infer<typeof layerSchema>;

export const mixInputSchema = z.object({
  input: slugSchema.describe('Name of the input'),
  gainDb: z.number().min(-60).max(20).default(0).describe('Gain, dB'),
});

export const layoutSchema = z
  .enum(['side-by-side', 'grid', 'picture-in-picture', 'over-background'])
  .describe('Arrangement of layers without a box');
export type Layout = z.infer<typeof layoutSchema>;

/** Several inputs merged into one video and one audio track when the segment is loaded. */
export const compositionSchema = z
  .object({
    width: sideSchema.describe('Even, pixels'),
    height: sideSchema.describe('Even, pixels'),
    fps: frameRateSchema.optional().describe("Default: the avatar's, else that of the fastest layer"),
    background: colorSchema.default('#000000').describe('Color of areas without a layer'),
    layout: layoutSchema.optional(),
    layers: z.array(layerSchema).min(1).max(16).describe('Layers from the lowest to the highest'),
    audio: z
      .array(mixInputSchema)
      .max(16)
      .optional()
      .describe('Inputs whose audio is mixed, which need not be layers; default: every layer that has audio'),
    lengthOf: slugSchema
      .optional()
      .describe('Input that determines the length; default: the longest layer that does not loop'),
  })
  .superRefine(({ width, height, layout, layers, audio, lengthOf }, context) => {
    const complain = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    for (const [i, { box }] of layers.entries()) {
      if (!box && !layout) complain(['layers', i, 'box'], 'is required without a "layout"');
      if (box && (box.x + box.width > width || box.y + box.height > height)) {
        complain(['layers', i, 'box'], `must lie within the ${width}×${height} of the composition`);
      }
    }
    const mixed = audio?.map(({ input }) => input) ?? [];
    if (new Set(mixed).size < mixed.length) complain(['audio'], 'must name each input once');
    if (lengthOf !== undefined && !inputsOf({ layers, audio }).includes(lengthOf))
      complain(['lengthOf'], 'must be one of the inputs');
  });
export type Composition = z.infer<typeof compositionSchema>;

/** @returns The names of all inputs: layers from the lowest, then those used for audio only. */
export function inputsOf({ layers, audio = [] }: Pick<Composition, 'layers' | 'audio'>): string[] {
  return [...new Set([...layers, ...audio].map(({ input }) => input))];
}
