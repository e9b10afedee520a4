import { z } from 'zod';

/** A frame's memory layout: packed rows without padding, planar 4:2:0 (BT.601, limited range), or a JPEG file. */
export type PixelFormat = 'bgr24' | 'rgb24' | 'rgba' | 'i420' | 'jpeg';
export type SampleFormat = 's16' | 'f32';

/** The header of a live push. */
export interface LiveStart {
  type: 'start';
  name?: string;
  fps: number | { num: number; den: number };
  width: number;
  height: number;
  pixelFormat: PixelFormat;
  sampleRate: number;
  sampleFormat: SampleFormat;
  interrupt?: boolean;
}

/** The first byte of a binary message; three zero bytes follow, then the frame or the samples (little endian). */
export const LIVE_KIND = { picture: 1, sound: 2 } as const;
export const LIVE_HEADER_BYTES = 4;

const statusSchema = z.object({
  type: z.literal('status'),
  framesReceived: z.int(),
  framesEncoded: z.int(),
  /** Length of what both tracks have, ms. */
  readyMs: z.number(),
  /** How far the pushes are behind real time since the first frame, ms; 0 when they are ahead. */
  lagMs: z.number(),
  /** Float samples outside −1…1 or not a number, so far. */
  clampedSamples: z.int(),
});
export type LiveStatus = z.infer<typeof statusSchema>;

/** What the segment-loader says during a live push. */
export const loaderMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), segment: z.string(), seq: z.int().optional() }),
  statusSchema,
  z.object({ type: z.literal('interrupted'), positionMs: z.number() }),
  z.object({ type: z.literal('done'), segment: z.string(), durationMs: z.number(), frames: z.int() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type LoaderMessage = z.infer<typeof loaderMessageSchema>;
