import { z } from 'zod';

const common = {
  /** Its place in the session's events. */
  id: z.string(),
  session: z.string(),
  /** When it happened, ms since the Unix epoch. */
  atMs: z.number(),
};

/** What happens in a session. */
export const sessionEventSchema = z.discriminatedUnion('type', [
  z.object({ ...common, type: z.literal('session.hosted'), host: z.string(), epoch: z.int() }),
  /** Another media-sender hosts it now. */
  z.object({ ...common, type: z.literal('session.moved'), from: z.string(), host: z.string(), epoch: z.int() }),
  z.object({ ...common, type: z.literal('session.ended'), reason: z.string() }),
  /** Everything queued up to that seq is over; whoever prepares an answer should stop. Also when nothing was queued. */
  z.object({
    ...common,
    type: z.literal('session.interrupted'),
    interruptedSeq: z.int(),
    /** Of the command: an interruption of one's own can be told by it. */
    idempotencyKey: z.string().optional(),
  }),
  z.object({ ...common, type: z.literal('viewer.connected'), viewer: z.string() }),
  z.object({ ...common, type: z.literal('viewer.disconnected'), viewer: z.string(), reason: z.string() }),
  z.object({ ...common, type: z.literal('speech.started'), seq: z.int(), segment: z.string() }),
  /** Exactly once for every queued segment, whatever happens to it. */
  z.object({
    ...common,
    type: z.literal('speech.finished'),
    seq: z.int(),
    segment: z.string(),
    /** How much of it was heard: what a language model should be told that it has said. */
    positionMs: z.number(),
    interrupted: z.boolean(),
    reason: z.enum(['finished', 'interrupted', 'dropped', 'failed']).catch('failed'),
    /** Why, where the reason alone does not say. */
    cause: z.enum(['segment_deleted']).optional().catch(undefined),
  }),
  /** Media came late: both tracks waited for this long. */
  z.object({ ...common, type: z.literal('playback.held'), segment: z.string(), heldMs: z.number() }),
  /**
   * Events after `afterId`, up to `throughId`, happened while this reader was away and are no longer kept; with the scope
   * `viewers`, only such about viewers. Ask for the session's state to know where it stands.
   */
  z.object({
    ...common,
    type: z.literal('events.missed'),
    afterId: z.string(),
    throughId: z.string(),
    scope: z.enum(['all', 'viewers']).catch('all'),
  }),
]);
export type SessionEvent = z.infer<typeof sessionEventSchema>;
