import {
  type BargeIn,
  bargeInSchema,
  IDLE_STATE,
  idSchema,
  type SessionState,
  sessionStateSchema,
  slugSchema,
} from '@humancast/protocol';
import { z } from 'zod';
import { readRecord } from '../records/read-record.js';
import { traceparentSchema } from '../tracing/traceparent.js';

/** The host's last reported playout position, from which a new host continues. */
const playheadSchema = z.object({
  segment: idSchema,
  role: z.enum(['idle', 'speech']),
  /** Sequence number of the queued segment; 0 for idle clips. */
  seq: z.int().min(0),
  /** Offset from the start of the segment, in samples of the media clock. */
  positionSamples: z.number().min(0),
  /** Wall clock of the host, ms since the Unix epoch. */
  atMs: z.number(),
  /** Time of saving, by the clock of Redis, which all hosts share. Set by the script that saves it. */
  savedAtMs: z.number().optional(),
  /**
   * Set during a planned hand-over: the host keeps playing until its viewers have switched, and has fetched the queue up to
   * this sequence number. Absent: unknown.
   */
  playsOnThroughSeq: z.int().min(0).optional(),
  /** For how long viewers had waited for an answer to what they said, ms. Absent: they did not. */
  awaitedMs: z.number().min(0).optional(),
});
export type Playhead = z.infer<typeof playheadSchema>;

/** Parses the fields of a session's Redis hash, which are strings. */
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
    turn: z.coerce.number().int().default(0),
    idleState: z.string().default(IDLE_STATE),
    /** Another version may know more. */
    bargeIn: bargeInSchema.catch('off'),
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
      turn,
      idleState,
      bargeIn,
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
      turn,
      idleState,
      bargeIn,
      claimedAtMs: claimedAt,
      playhead: playhead === undefined ? undefined : readRecord('playhead', id, playheadSchema, playhead),
    }),
  );

export interface SessionRecord {
  id: string;
  avatar: string;
  state: SessionState;
  /** Incremented each time the host changes. 0: never hosted. */
  epoch: number;
  host: string | undefined;
  /** How often a host resumed after its heartbeats had failed. */
  resumptions: number;
  createdAtMs: number;
  /** Whether it is a demo session, created by a visitor without a key. */
  demo: boolean;
  /** Name of the API key that created the session; absent for a demo session. */
  owner: string | undefined;
  /** Everything queued up to and including this sequence number was interrupted. */
  interruptedSeq: number;
  /** Number of interruptions that were accepted. */
  turn: number;
  /** The idle state that the producer has set. */
  idleState: string;
  /** How the avatar reacts while a viewer speaks. */
  bargeIn: BargeIn;
  /** Also `undefined` if another version stored it in an unknown format: the segment then starts from its beginning. */
  playhead: Playhead | undefined;
  /** Time at which its host claimed it, by the clock of Redis. */
  claimedAtMs: number | undefined;
  endReason: string | undefined;
}

/** A viewer as recorded by signaling; the host serves all recorded viewers that are not placed on a follower. */
export const viewerRecordSchema = z.object({
  viewer: idSchema,
  /** Mailbox for messages to this viewer. */
  mailbox: z.string(),
  /** Incremented with each new connection the viewer requests; the host creates one connection per value. */
  attempt: z.int().min(1),
  joinedAtMs: z.number(),
  /** The media-sender that serves this viewer by following the session; absent: the host. */
  sender: idSchema.optional(),
  /** The offer of a WHEP viewer; without it the host makes the offer. */
  offer: z.string().optional(),
  /** The ICE user name fragment of a WHEP viewer since its last ICE restart. */
  iceUfrag: z.string().optional(),
  /** Whether the viewer may speak. */
  microphone: z.boolean().default(false),
  /** Trace context of this attempt's join. */
  traceparent: traceparentSchema.optional(),
});
export type ViewerRecord = z.infer<typeof viewerRecordSchema>;

export const senderRecordSchema = z.object({
  id: idSchema,
  mailbox: z.string(),
  sessions: z.int(),
  capacity: z.int(),
  viewers: z.int(),
  /** Number of viewers that it can serve; 0: unknown (previous version). */
  viewerCapacity: z.int().default(0),
  draining: z.boolean(),
  /** Whether its load permits another session, regardless of its capacity. */
  accepting: z.boolean().default(true),
  startedAtMs: z.number(),
  hostname: z.string(),
});
export type SenderRecord = z.infer<typeof senderRecordSchema>;
