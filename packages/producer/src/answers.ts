import { z } from 'zod';

// What humancast answers, as far as this library promises it; whatever else is there is handed on as it is.

export const newSessionSchema = z.looseObject({
  id: z.string(),
  avatar: z.string(),
  /** For its viewers: `/?session=ID&token=TOKEN`, or the browser client. */
  token: z.string(),
  /** When the token expires, ISO 8601. */
  expiresAt: z.string(),
});
export type NewSession = z.infer<typeof newSessionSchema>;

const queuedSchema = z.object({ seq: z.int(), segment: z.string() });
export type Queued = z.infer<typeof queuedSchema>;

const sessionSummarySchema = z.looseObject({
  id: z.string(),
  avatar: z.string(),
  state: z.enum(['new', 'queued', 'hosted', 'ended']),
});
export type SessionSummary = z.infer<typeof sessionSummarySchema>;

export const sessionSchema = sessionSummarySchema.extend({
  queue: z.array(queuedSchema),
  viewers: z.array(z.looseObject({ viewer: z.string() })),
  /** What plays now. */
  playhead: z.looseObject({ segment: z.string(), role: z.enum(['idle', 'speech']), positionMs: z.number() }).optional(),
  /** Which frame of the idle clip would be followed by speech that is queued now, and in how many milliseconds. */
  nextCut: z.looseObject({ segment: z.string(), frame: z.int(), inMs: z.number() }).optional(),
});
export type SessionState = z.infer<typeof sessionSchema>;

export const segmentSchema = z.looseObject({
  id: z.string(),
  avatar: z.string(),
  name: z.string(),
  state: z.enum(['open', 'complete', 'failed']),
  /** Missing while it is still being loaded. */
  durationMs: z.number().optional(),
});
export type Segment = z.infer<typeof segmentSchema>;

export const avatarSchema = z.looseObject({ id: z.string(), name: z.string().optional() });
export type Avatar = z.infer<typeof avatarSchema>;

export const saidSchema = z.looseObject({ segment: z.string().optional(), ahead: z.int() });
export type Said = z.infer<typeof saidSchema>;

export const sessionsSchema = z.object({ sessions: z.array(sessionSummarySchema) });
export const segmentsSchema = z.object({ segments: z.array(segmentSchema) });
export const avatarsSchema = z.object({ avatars: z.array(avatarSchema) });
export const spokenSchema = z.object({ queued: z.array(queuedSchema) });
export const interruptedSchema = z.object({ interruptedSeq: z.int() });
