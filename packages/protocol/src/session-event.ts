import { z } from 'zod';
import { idSchema } from './ids.js';

export const finishReasonSchema = z.enum([
  /** Played to its end. */
  'finished',
  /** Cut by a barge-in. */
  'interrupted',
  /** Never began: its queue was emptied by a barge-in, or its session ended. */
  'dropped',
  /** It could not be played (to its end): its media is missing or damaged. */
  'failed',
]);
export type FinishReason = z.infer<typeof finishReasonSchema>;

/** What happens in a session, as its event stream tells it. */
export const sessionEventBodySchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('session.hosted'), host: idSchema, epoch: z.int() }),
  /** Another media-sender hosts it now. */
  z.object({ type: z.literal('session.moved'), from: idSchema, host: idSchema, epoch: z.int() }),
  z.object({ type: z.literal('session.ended'), reason: z.string() }),
  /**
   * A viewer or a producer interrupted: everything queued up to and including `interruptedSeq` is over, and whoever prepares an
   * answer should stop. It is said even when nothing was queued. `speak` with `interrupt` does not say it. The key of the
   * command, if it had one, tells its sender that it was its own.
   */
  z.object({
    type: z.literal('session.interrupted'),
    interruptedSeq: z.int().min(0),
    idempotencyKey: z.string().optional(),
  }),
  z.object({ type: z.literal('viewer.connected'), viewer: idSchema }),
  z.object({ type: z.literal('viewer.disconnected'), viewer: idSchema, reason: z.string() }),
  /**
   * The viewer is sent another rendition, because its path carries more or less than before: `rung` of `rungs`, 0 is the
   * largest. At most once in 5 s for each viewer.
   */
  z.object({ type: z.literal('viewer.rung'), viewer: idSchema, rung: z.int().min(0), rungs: z.int().min(1) }),
  z.object({ type: z.literal('speech.started'), seq: z.int(), segment: idSchema }),
  /** Exactly once for every queued segment, whatever happens to it. */
  z.object({
    type: z.literal('speech.finished'),
    seq: z.int(),
    segment: idSchema,
    /** How much of it was heard, ms. */
    positionMs: z.number(),
    interrupted: z.boolean(),
    /** One that a later version adds must not make the segment's end vanish. */
    reason: finishReasonSchema.catch('failed'),
    /** Why, where the reason alone does not say: the media was deleted while it was queued or playing. */
    cause: z.enum(['segment_deleted']).optional().catch(undefined),
  }),
  /** Media came late: both tracks held together for this long. */
  z.object({ type: z.literal('playback.held'), segment: idSchema, heldMs: z.number() }),
]);
export type SessionEventBody = z.infer<typeof sessionEventBodySchema>;

/**
 * Told to a reader in place of events that are no longer kept; it is not stored. After it, what the reader knows of the session
 * may be wrong: `GET /v1/sessions/:id` has the present state.
 */
const eventsMissedSchema = z.object({
  type: z.literal('events.missed'),
  /** The events that are missing are among those after this id … */
  afterId: z.string(),
  /** … up to and including this one. */
  throughId: z.string(),
  /** `viewers`: only events about viewers that came or went are missing. */
  scope: z.enum(['all', 'viewers']).catch('all'),
});

/** What readers are told: what is stored, and what is missing of it. */
export const toldEventBodySchema = z.discriminatedUnion('type', [
  ...sessionEventBodySchema.options,
  eventsMissedSchema,
]);

/** An event as told: with its place in the stream, and when it happened (ms since the Unix epoch). */
export const sessionEventSchema = z.intersection(
  toldEventBodySchema,
  z.object({ id: z.string(), session: idSchema, atMs: z.number() }),
);
export type SessionEvent = z.infer<typeof sessionEventSchema>;
