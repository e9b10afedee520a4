import { z } from 'zod';
import { idSchema, slugSchema } from './ids.js';
import { playingSchema } from './listen.js';
import { messageDataSchema } from './message.js';

export const finishReasonSchema = z.enum([
  /** Played to its end. */
  'finished',
  /** Cut off by a barge-in. */
  'interrupted',
  /** Not started, because a barge-in emptied the queue, the segment was deleted, or the session ended. */
  'dropped',
  /** Not played, or not to its end, because its media is missing or damaged. */
  'failed',
]);
export type FinishReason = z.infer<typeof finishReasonSchema>;

const voiceShape = {
  viewer: idSchema,
  /** When that was, ms since the Unix epoch, by the media-sender's clock. */
  saidAtMs: z.number(),
  /** The playout position that the viewer heard then. */
  playing: playingSchema.optional(),
} as const;

/** Stored events of a session. */
export const sessionEventBodySchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('session.hosted'), host: idSchema, epoch: z.int() }),
  /** Another media-sender has taken over. */
  z.object({ type: z.literal('session.moved'), from: idSchema, host: idSchema, epoch: z.int() }),
  z.object({ type: z.literal('session.ended'), reason: z.string() }),
  /**
   * A viewer or a producer interrupted, by `interrupt` or by speech that replaces: everything queued up to and including
   * `interruptedSeq` is over, `turn` has begun, and speech that is being made for an earlier turn should stop, because it
   * will be rejected. Emitted even if nothing was queued. The command's `Idempotency-Key`, if any, lets its sender recognize
   * it.
   */
  z.object({
    type: z.literal('session.interrupted'),
    interruptedSeq: z.int().min(0),
    /** Default 0: written by a version without turns. */
    turn: z.int().min(0).default(0),
    idempotencyKey: z.string().optional(),
    /** The viewer whose voice interrupted (`bargeIn: 'stop'`). */
    viewer: idSchema.optional(),
  }),
  /** A producer has set another idle state. */
  z.object({ type: z.literal('session.state'), state: slugSchema }),
  z.object({ type: z.literal('viewer.connected'), viewer: idSchema }),
  /** A viewer's page tells producers something. Not sent to viewers. */
  z.object({ type: z.literal('viewer.message'), viewer: idSchema, data: messageDataSchema }),
  /** A producer tells viewers something, or one of them. Not sent to other viewers. */
  z.object({ type: z.literal('session.message'), viewer: idSchema.optional(), data: messageDataSchema }),
  /** A viewer has begun to speak, by the media-sender's voice activity detection. */
  z.object({ type: z.literal('viewer.speaking'), ...voiceShape }),
  /**
   * A viewer has finished speaking: it was silent for `VOICE_HANGOVER_MS` since, sends nothing any more, or the session moves to
   * another media-sender, where it may begin again.
   */
  z.object({ type: z.literal('viewer.silent'), ...voiceShape }),
  z.object({ type: z.literal('viewer.disconnected'), viewer: idSchema, reason: z.string() }),
  /**
   * The viewer's rendition has changed with the capacity of its path, to index `rung` of `rungs` renditions; 0 is the
   * largest. Emitted at most once in 5 s per viewer.
   */
  z.object({ type: z.literal('viewer.rung'), viewer: idSchema, rung: z.int().min(0), rungs: z.int().min(1) }),
  z.object({ type: z.literal('speech.started'), seq: z.int(), segment: idSchema }),
  /** A part of the segment's text begins to be heard: it is said from `positionMs` to `untilMs`. */
  z.object({
    type: z.literal('speech.text'),
    seq: z.int(),
    segment: idSchema,
    text: z.string(),
    positionMs: z.number(),
    untilMs: z.number(),
  }),
  /** Emitted exactly once for every queued segment, whatever happens to it. */
  z.object({
    type: z.literal('speech.finished'),
    seq: z.int(),
    segment: idSchema,
    /** Duration that was played, ms. */
    positionMs: z.number(),
    interrupted: z.boolean(),
    /** A reason added by a later version is read as `failed`, so that the event is not lost. */
    reason: finishReasonSchema.catch('failed'),
    /** Cause beyond the reason: the segment was deleted while it was queued or playing. */
    cause: z.enum(['segment_deleted']).optional().catch(undefined),
    /** The words that were played; missing if the segment has no text. */
    text: z.string().optional(),
  }),
  /** Media was late, so both tracks were held together for this long. */
  z.object({ type: z.literal('playback.held'), segment: idSchema, heldMs: z.number() }),
]);
export type SessionEventBody = z.infer<typeof sessionEventBodySchema>;

/**
 * Sent to a reader in place of events that are no longer kept; not stored. The reader's view of the session may then be
 * outdated: `GET /v1/sessions/:id` returns the current state.
 */
const eventsMissedSchema = z.object({
  type: z.literal('events.missed'),
  /** The missing events are among those after this id … */
  afterId: z.string(),
  /** … up to and including this one. */
  throughId: z.string(),
  /** `viewers`: only events about viewers connecting or disconnecting are missing. */
  scope: z.enum(['all', 'viewers']).catch('all'),
});

/** Events sent to readers: stored ones, and the replacement for missing ones. */
const deliveredEventBodySchema = z.discriminatedUnion('type', [...sessionEventBodySchema.options, eventsMissedSchema]);

/** An event as sent to readers, with its id in the stream and its time (ms since the Unix epoch). */
export const sessionEventSchema = z.intersection(
  deliveredEventBodySchema,
  z.object({ id: z.string(), session: idSchema, atMs: z.number() }),
);
export type SessionEvent = z.infer<typeof sessionEventSchema>;
