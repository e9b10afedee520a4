import { idSchema, type SessionState, sessionStateSchema, slugSchema } from '@humancast/protocol';
import { z } from 'zod';
import { readRecord } from '../records/read-record.js';
import { traceparentSchema } from '../tracing/traceparent.js';

/** Where playout was when its host last said so; a new host resumes here. */
const playheadSchema = z.object({
  segment: idSchema,
  role: z.enum(['idle', 'speech']),
  /** Of the queued segment; 0 for idle clips. */
  seq: z.int().min(0),
  /** Media-clock samples from the segment's start. */
  positionSamples: z.number().min(0),
  /** Wall clock of the host, milliseconds since the Unix epoch. */
  atMs: z.number(),
  /** When it was saved, by the clock of Redis, which all hosts share. Added by the script that saves it. */
  savedAtMs: z.number().optional(),
  /**
   * Set in a planned hand-over: the host plays on until its viewers have changed over, and has fetched the queue up to this seq.
   * Missing: it said nothing about what it plays after.
   */
  playsOnThroughSeq: z.int().min(0).optional(),
});
export type Playhead = z.infer<typeof playheadSchema>;

/** A session's record out of the fields of its Redis hash, which are strings. */
export const sessionRecordSchema = z
  .object({
    id: idSchema,
    avatar: slugSchema,
    state: sessionStateSchema,
    epoch: z.coerce.number().int(),
    host: z.string().optional(),
    resumptions: z.coerce.number().int().default(0),
    createdAt: z.coerce.number(),
    demo: z.string().optional(),
    owner: z.string().optional(),
    interrupted: z.coerce.number().int().default(0),
    playhead: z.string().optional(),
    claimedAt: z.coerce.number().optional(),
    endReason: z.string().optional(),
  })
  .transform(
    ({
      id,
      avatar,
      state,
      epoch,
      host,
      resumptions,
      createdAt,
      demo,
      owner,
      interrupted,
      playhead,
      claimedAt,
      endReason,
    }): SessionRecord => ({
      id,
      avatar,
      state,
      epoch,
      host,
      resumptions,
      endReason,
      owner,
      createdAtMs: createdAt,
      demo: demo === '1',
      interruptedSeq: interrupted,
      claimedAtMs: claimedAt,
      playhead: playhead === undefined ? undefined : readRecord('playhead', id, playheadSchema, playhead),
    }),
  );

export interface SessionRecord {
  id: string;
  avatar: string;
  state: SessionState;
  /** Grows each time the right to host changes hands. 0: never hosted. */
  epoch: number;
  host: string | undefined;
  /** How often a host went on after its signs of life had not got through. */
  resumptions: number;
  createdAtMs: number;
  /** Made by a visitor without a key, where that is allowed. */
  demo: boolean;
  /** The name of the API key that made it. Missing for a visitor's. */
  owner: string | undefined;
  /** Everything queued up to and including this seq has been interrupted. */
  interruptedSeq: number;
  /** `undefined` as well when another version stored it in a form unknown here: the segment begins anew then. */
  playhead: Playhead | undefined;
  /** When its host claimed it, by the clock of Redis. */
  claimedAtMs: number | undefined;
  endReason: string | undefined;
}

/** A viewer as signaling wrote it down; the host serves whoever is here. */
export const viewerRecordSchema = z.object({
  viewer: idSchema,
  /** Where messages for this viewer go. */
  mailbox: z.string(),
  /** Grows with every new connection the viewer asks for; the host makes one per value. */
  attempt: z.int().min(1),
  joinedAtMs: z.number(),
  /** A WHEP viewer's own offer; without it the host makes the offer. */
  offer: z.string().optional(),
  /** Of this attempt's join. */
  traceparent: traceparentSchema.optional(),
});
export type ViewerRecord = z.infer<typeof viewerRecordSchema>;

export const senderRecordSchema = z.object({
  id: idSchema,
  mailbox: z.string(),
  sessions: z.int(),
  capacity: z.int(),
  viewers: z.int(),
  draining: z.boolean(),
  /** Whether it has the time to serve another session, places apart. */
  accepting: z.boolean().default(true),
  startedAtMs: z.number(),
  hostname: z.string(),
});
export type SenderRecord = z.infer<typeof senderRecordSchema>;
