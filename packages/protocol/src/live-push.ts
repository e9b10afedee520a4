import { z } from 'zod';
import { idSchema } from './ids.js';
import { rationalSchema } from './segment.js';

/**
 * Live push, `WS /v1/live?avatar=ID[&session=ID]` on the segment-loader: the producer sends a header, then frames and PCM in
 * any order, then the end; all of it may already be playing.
 *
 * A binary message is one frame, or some PCM:
 *
 *     0  u8     kind: 1 = video, 2 = audio
 *     1  u8[3]  0
 *     4  …      one frame in the header's pixel format (rows without padding; JPEG: one file), or mono PCM samples
 *
 * Little endian. The four bytes keep samples aligned.
 */
export const LIVE_KIND = { video: 1, audio: 2 } as const;
export const LIVE_HEADER_BYTES = 4;
/** Frames that one `hold` may stand for. */
export const LIVE_HOLD_FRAMES = 1000;

export const pixelFormatSchema = z.enum(['bgr24', 'rgb24', 'rgba', 'i420', 'jpeg']);
export type PixelFormat = z.infer<typeof pixelFormatSchema>;

export const sampleFormatSchema = z.enum(['s16', 'f32']);
export type SampleFormat = z.infer<typeof sampleFormatSchema>;

export const liveStartSchema = z.strictObject({
  type: z.literal('start'),
  /** For people, and to find it again. */
  name: z.string().min(1).max(255).optional(),
  fps: z.union([z.number().min(1).max(60), rationalSchema]),
  width: z.int().min(16).max(3840),
  height: z.int().min(16).max(2160),
  pixelFormat: pixelFormatSchema,
  sampleRate: z.int().min(8000).max(48_000),
  sampleFormat: sampleFormatSchema,
  /** With a session: what it says now ends when this starts to play, as `speak` with `interrupt`. */
  interrupt: z.boolean().default(false),
});
export type LiveStart = z.infer<typeof liveStartSchema>;

/** What a producer sends as text. */
export const liveProducerMessageSchema = z.discriminatedUnion('type', [
  liveStartSchema,
  /** Repeats the last frame, or before the first frame the avatar's, for this many frames of the header's rate. */
  z.strictObject({ type: z.literal('hold'), frames: z.int().min(1).max(LIVE_HOLD_FRAMES) }),
  /** Keeps a push open that has nothing to send yet. */
  z.strictObject({ type: z.literal('alive') }),
  z.strictObject({ type: z.literal('end') }),
]);
export type LiveProducerMessage = z.infer<typeof liveProducerMessageSchema>;

/** Sent about twice a second. */
const liveStatusSchema = z.object({
  type: z.literal('status'),
  framesReceived: z.int(),
  framesEncoded: z.int(),
  /** Length of what both tracks have, ms. */
  readyMs: z.number(),
  /** How far the producer is behind real time since its first frame, ms; 0 when it is ahead. */
  lagMs: z.number(),
  /** Float samples outside −1…1 or not a number, so far. */
  clampedSamples: z.int(),
});
export type LiveStatus = z.infer<typeof liveStatusSchema>;

/** What the segment-loader answers. */
export const liveLoaderMessageSchema = z.discriminatedUnion('type', [
  /** The header was accepted; frames may come. With a session, `seq` is its place in the session's queue. */
  z.object({ type: z.literal('ready'), segment: idSchema, seq: z.int().optional() }),
  liveStatusSchema,
  /** The session was interrupted while this was playing: what is sent from now on is not heard. */
  z.object({ type: z.literal('interrupted'), positionMs: z.number() }),
  /** All that arrived is stored; the connection closes. */
  z.object({ type: z.literal('done'), segment: idSchema, durationMs: z.number(), frames: z.int() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type LiveLoaderMessage = z.infer<typeof liveLoaderMessageSchema>;
