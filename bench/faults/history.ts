import { createWriteStream, readFileSync } from 'node:fs';
import { z } from 'zod';

/** Milliseconds since the start of the run, on the tool's monotonic clock. */
const ms = z.number();
const id = z.string();

/** Outcome of a command for its caller; `unknown`: no answer, or one that leaves it open (5xx). */
const outcomeSchema = z.enum(['ok', 'failed', 'unknown']);
export type Outcome = z.infer<typeof outcomeSchema>;

const commandSchema = z.object({
  type: z.literal('command'),
  command: z.enum(['speak', 'interrupt', 'end', 'delete']),
  /** Missing for `delete`, which concerns no session. */
  session: id.optional(),
  segments: z.array(id).default([]),
  /** Whether a `speak` replaces the queue. */
  interrupt: z.boolean().default(false),
  /** The `Idempotency-Key`: all attempts with one key are one command. */
  key: z.string().optional(),
  sentMs: ms,
  doneMs: ms,
  outcome: outcomeSchema,
  /** The queue positions named by a 202. */
  seqs: z.array(z.int()).default([]),
  /** Queue positions up to this one have finished, by the answer to an `interrupt`. */
  interruptedSeq: z.int().optional(),
  /** The answer to a command whose outcome is not `ok`. */
  answer: z.string().optional(),
});
export type Command = z.infer<typeof commandSchema>;

/** An event as received. Fields of unknown events are kept. */
const eventSchema = z.object({
  type: z.literal('event'),
  session: id,
  receivedMs: ms,
  event: z.looseObject({
    id: z.string(),
    type: z.string(),
    seq: z.int().optional(),
    segment: z.string().optional(),
    reason: z.string().optional(),
  }),
});
export type ReceivedEvent = z.infer<typeof eventSchema>;

/** An uninterrupted run of a segment's frames that one viewer received on one connection. */
const frameRunSchema = z.object({
  type: z.literal('frames'),
  session: id,
  viewer: z.string(),
  connection: z.string(),
  epoch: z.int(),
  segment: id,
  firstFrame: z.int(),
  lastFrame: z.int(),
  /**
   * Number of leading frames that arrived in one burst with the frame that was due: a new connection, or a restarted
   * decoder, gets its GOP from the keyframe on. They are decoded and not shown.
   */
  catchUp: z.int().default(0),
  fromMs: ms,
  untilMs: ms,
  /** Video packets lost on this connection before the run started, and before it ended. */
  lostBefore: z.int(),
  lostAfter: z.int(),
});
export type FrameRun = z.infer<typeof frameRunSchema>;

/** Times of a connection's first and last packet, also after it was replaced. */
const connectionSchema = z.object({
  type: z.literal('connection'),
  session: id,
  viewer: z.string(),
  connection: z.string(),
  epoch: z.int(),
  firstMs: ms,
  lastMs: ms,
});
export type ConnectionSpan = z.infer<typeof connectionSchema>;

const faultSchema = z.object({
  type: z.literal('fault'),
  fault: z.string(),
  /** Whether the old host may play until its viewers have switched. */
  overlaps: z.boolean(),
  /** Whether media sent before is delayed, and arrives when the fault is mended. */
  delaysMedia: z.boolean().default(false),
  beganMs: ms,
  endedMs: ms,
  /** The reason for which the tool could not cause or mend the fault. */
  error: z.string().optional(),
});
export type FaultSpan = z.infer<typeof faultSchema>;

export const historyRecordSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('run'),
    seed: z.int(),
    startedAt: z.string(),
    fps: z.number(),
    plan: z.string(),
    /** Whether followers serve viewers of a session, too, on connections that outlive a host. */
    spread: z.boolean().default(false),
  }),
  z.object({ type: z.literal('segment'), segment: id, frames: z.int() }),
  commandSchema,
  eventSchema,
  frameRunSchema,
  connectionSchema,
  faultSchema,
  /** The tool was late: what it received until `atMs` may have arrived up to `stallMs` earlier. */
  z.object({ type: z.literal('stall'), atMs: ms, stallMs: ms }),
  /** A process ended unexpectedly. */
  z.object({ type: z.literal('crash'), process: z.string(), atMs: ms, log: z.string() }),
  /** A deleted segment was requested again. */
  z.object({ type: z.literal('lookup'), segment: id, atMs: ms, status: z.int() }),
  /** All faults were mended, with time to recover; `silent` lists the sessions that did not play by then. */
  z.object({ type: z.literal('calm'), atMs: ms, silent: z.array(id) }),
  /** The end of a session's history; `complete` if its events were read to `session.ended`. */
  z.object({ type: z.literal('closed'), session: id, atMs: ms, complete: z.boolean() }),
]);
export type HistoryRecord = z.infer<typeof historyRecordSchema>;
export type HistoryInput = z.input<typeof historyRecordSchema>;

/** Records what a run did and saw. */
export interface History {
  add(record: HistoryInput): void;
}

/** Writes a history to a file as JSON lines. */
export class HistoryFile implements History {
  readonly #file: ReturnType<typeof createWriteStream>;

  constructor(path: string) {
    this.#file = createWriteStream(path);
    // close() reports an unwritable file.
    this.#file.on('error', () => {});
  }

  add(record: HistoryInput): void {
    this.#file.write(`${JSON.stringify(record)}\n`);
  }

  /** Resolves when all records are written. @throws Error if the file could not be written. */
  async close(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#file.once('error', reject);
    if (this.#file.errored) reject(this.#file.errored);
    this.#file.end(resolve);
    await promise;
  }
}

/** @throws Error naming the invalid line. An incomplete last line is skipped. */
export function readHistory(path: string): HistoryRecord[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  const cut = lines.pop();
  const records = lines.map((line, i) => {
    try {
      return historyRecordSchema.parse(JSON.parse(line));
    } catch (error) {
      throw new Error(`${path}:${i + 1}: ${(error as Error).message}`);
    }
  });
  if (cut) console.error(`${path}: the last line is incomplete; skipped`);
  return records;
}
