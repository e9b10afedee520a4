import { z } from 'zod';
import { idSchema } from './ids.js';

/** The rate of speech recognition, at which voices are decoded, Hz. */
export const LISTEN_SAMPLE_RATE = 16_000;
export const LISTEN_FRAME_MS = 20;
export const LISTEN_LENGTH_BYTES = 2;

/** Sample rate for a listener, Hz: speech recognition takes 16 kHz, speech-to-speech models take 24 kHz. */
export const listenRateSchema = z.enum(['16000', '24000']).default('16000');

/** The playout position that a viewer heard. */
export const playingSchema = z.object({
  segment: idSchema,
  role: z.enum(['idle', 'speech']),
  /** Sequence number in the session's queue; 0 for an idle clip. */
  seq: z.int(),
  positionMs: z.number(),
});

/**
 * Listening, `WS /v1/sessions/:id/listen[?rate=HZ]` on signaling: the voices of the session's viewers that may speak.
 * Signaling first sends the text message `listening`, then a binary message for each 20 ms of each voice:
 *
 *     0  u16    length of the header, a multiple of 2
 *     2  …      header: {@link Heard} as JSON, filled up with spaces
 *     …  …      PCM: 20 ms of mono samples of 16 bits
 *
 * Little endian. This is the header, which describes 20 ms of a voice.
 */
export const heardSchema = z.object({
  viewer: idSchema,
  /** Changes when the viewer's connection moves to another media-sender. */
  epoch: z.int(),
  /** Number of the frame in this epoch; one that is missing was lost on its way here. */
  frame: z.int().min(0),
  /** When the viewer said its first sample, ms since the Unix epoch, by the media-sender's clock. */
  atMs: z.number(),
  /** The playout position that the viewer heard at that moment; missing if nothing had been played. */
  playing: playingSchema.optional(),
  /** Whether part of it was made up for lost packets. */
  concealed: z.boolean().optional(),
  /** Audio missing before it: the viewer paused, packets were lost, or the connection moved. */
  gapMs: z.number().optional(),
  /** Audio of this viewer that was dropped before it, because the listener did not read in time. */
  droppedMs: z.number().optional(),
});
export type Heard = z.infer<typeof heardSchema>;

/** Text messages to a listener. */
export const listenMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('listening'), sampleRate: z.int(), frameMs: z.number() }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type ListenMessage = z.infer<typeof listenMessageSchema>;
