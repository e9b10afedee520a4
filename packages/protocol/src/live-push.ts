import { z } from 'zod';
import { idSchema } from './ids.js';
import { rationalSchema } from './segment.js';
import { textCueShape } from './text.js';

/**
 * Live push, `WS /v1/live?avatar=ID[&session=ID[&turn=N]]` on the segment-loader: the producer sends a header, then frames and PCM in
 * any order, then the end. The segment can play while it is being pushed.
 *
 * A binary message is one frame or a piece of PCM:
 *
 *     0  u8     kind: 1 = video, 2 = audio
 *     1  u8[3]  0
 *     4  …      one frame in the header's pixel format (rows without padding; JPEG: one file), or mono PCM samples
 *
 * Little endian. The four bytes keep samples aligned.
 */
export const LIVE_KIND = { video: 1, audio: 2 } as const;
export const LIVE_HEADER_BYTES = 4;
/** Maximum number of frames of one `hold`. */
export const LIVE_HOLD_FRAMES = 1000;

export const pixelFormatSchema = z.enum(['bgr24', 'rgb24', 'rgba', 'i420', 'jpeg']);
export type PixelFormat = z.infer<typeof pixelFormatSchema>;

export const sampleFormatSchema = z.enum(['s16', 'f32']);
export type SampleFormat = z.infer<typeof sampleFormatSchema>;

export const liveStartSchema = z.strictObject({
  type: z.literal('start'),
  /** Name for humans. */
  name: z.string().min(1).max(255).optional(),
  fps: z.union([z.number().min(1).max(60), rationalSchema]),
  width: z.int().min(16).max(3840),
  height: z.int().min(16).max(2160),
  pixelFormat: pixelFormatSchema,
  sampleRate: z.int().min(8000).max(48_000),
  sampleFormat: sampleFormatSchema,
  /** In a session: whether current speech ends when this segment starts to play, as with `interrupt` of `speak`. */
  interrupt: z.boolean().default(false),
});
export type LiveStart = z.infer<typeof liveStartSchema>;

/** Text messages of the producer. */
export const liveProducerMessageSchema = z.discriminatedUnion('type', [
  liveStartSchema,
  /** Repeats the last frame (before the first one, the avatar's still) for this many frames at the header's rate. */
  z.strictObject({ type: z.literal('hold'), frames: z.int().min(1).max(LIVE_HOLD_FRAMES) }),
  /**
   * Fills both tracks up to this position of the push, ms: frames by repeating the last one, audio with silence; at most 1000
   * frames. A track that is longer already stays. The next frame and the next sample then belong together.
   */
  z.strictObject({ type: z.literal('fill'), toMs: z.number().min(0).max(3_600_000) }),
  /** Says which words are said from one position of the push to another one. Cues are sent in order, before or with their audio. */
  z.strictObject({ type: z.literal('text'), ...textCueShape }),
  /** Keeps a push open while there is nothing to send. */
  z.strictObject({ type: z.literal('alive') }),
  z.strictObject({ type: z.literal('end') }),
]);
export type LiveProducerMessage = z.infer<typeof liveProducerMessageSchema>;

/** Progress of a push, sent about twice a second. */
const liveStatusSchema = z.object({
  type: z.literal('status'),
  framesReceived: z.int(),
  framesEncoded: z.int(),
  /** Duration for which both tracks have been received, ms. */
  readyMs: z.number(),
  /** Lag of the producer behind real time since its first frame, ms; 0 if it is ahead. */
  lagMs: z.number(),
  /** Number of float samples outside −1…1 or NaN so far. */
  clampedSamples: z.int(),
  /** Number of renditions that are encoded; fewer while encoding would be slower than real time. */
  renditions: z.int().optional(),
});
export type LiveStatus = z.infer<typeof liveStatusSchema>;

/** Messages of the segment-loader. */
export const liveLoaderMessageSchema = z.discriminatedUnion('type', [
  /**
   * The header was accepted, and frames may be sent. In a session, `seq` is the segment's sequence number in its queue, and
   * `turn` the session's turn.
   */
  z.object({
    type: z.literal('ready'),
    segment: idSchema,
    seq: z.int().optional(),
    turn: z.int().min(0).optional(),
  }),
  liveStatusSchema,
  /** The session was interrupted while this segment was playing: media sent from now on will not be played. */
  z.object({ type: z.literal('interrupted'), positionMs: z.number() }),
  /** Everything received is stored; the connection closes. */
  z.object({ type: z.literal('done'), segment: idSchema, durationMs: z.number(), frames: z.int() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type LiveLoaderMessage = z.infer<typeof liveLoaderMessageSchema>;
