import { createWriteStream, readFileSync } from 'node:fs';
import { z } from 'zod';

/** Milliseconds on the tool's monotonic clock since the run began. */
const ms = z.number();
const id = z.string();

/** How a command ended for its caller; `unknown`: no answer, or one that leaves open whether it was done (5xx). */
const outcomeSchema = z.enum(['ok', 'failed', 'unknown']);
export type Outcome = z.infer<typeof outcomeSchema>;

const commandSchema = z.object({
  type: z.literal('command'),
  command: z.enum(['speak', 'interrupt', 'end', 'delete']),
  /** Missing for `delete`, which names no session. */
  session: id.optional(),
  segments: z.array(id).default([]),
  /** Whether a `speak` replaces what is queued. */
  interrupt: z.boolean().default(false),
  /** The `Idempotency-Key`: all attempts with one key are one command. */
  key: z.string().optional(),
  sentMs: ms,
  doneMs: ms,
  outcome: outcomeSchema,
  /** The places in the queue that a 202 named. */
  seqs: z.array(z.int()).default([]),
  /** Everything up to this place is over, as the answer to an `interrupt` said. */
  interruptedSeq: z.int().optional(),
  /** What a command that did not end with `ok` was answered. */
  answer: z.string().optional(),
});
export type Command = z.infer<typeof commandSchema>;

/** An event as its reader received it. Members of unknown events are kept. */
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

/** An uninterrupted run of a segment's frames, as one viewer received it on one connection. */
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
   * How many of the first frames came in one burst with the frame that was due: a connection, or a decoder that has to start anew,
   * is sent its GOP from the keyframe on. They are decoded and not shown.
   */
  catchUp: z.int().default(0),
  fromMs: ms,
  untilMs: ms,
  /** Video packets that this connection had lost when the run began, and when it ended. */
  lostBefore: z.int(),
  lostAfter: z.int(),
});
export type FrameRun = z.infer<typeof frameRunSchema>;

/** When one viewer's connection received its first and its last packet, also after it was replaced. */
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
  /** Whether the old host may play on until its viewers have changed over. */
  overlaps: z.boolean(),
  /** Whether media that left before waits on its way, and arrives when the fault is mended. */
  delaysMedia: z.boolean().default(false),
  beganMs: ms,
  endedMs: ms,
  /** Why the tool could not break, or could not mend, what it wanted to. */
  error: z.string().optional(),
});
export type FaultSpan = z.infer<typeof faultSchema>;

export const historyRecordSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('run'), seed: z.int(), startedAt: z.string(), fps: z.number(), plan: z.string() }),
  z.object({ type: z.literal('segment'), segment: id, frames: z.int() }),
  commandSchema,
  eventSchema,
  frameRunSchema,
  connectionSchema,
  faultSchema,
  /** The tool itself ran late: what it received until `atMs` may have come up to `stallMs` earlier. */
  z.object({ type: z.literal('stall'), atMs: ms, stallMs: ms }),
  /** A process ended that nobody had told to. */
  z.object({ type: z.literal('crash'), process: z.string(), atMs: ms, log: z.string() }),
  /** A deleted segment was asked for again. */
  z.object({ type: z.literal('lookup'), segment: id, atMs: ms, status: z.int() }),
  /** Everything was mended and had time to recover; `silent` are the sessions that did not play by then. */
  z.object({ type: z.literal('calm'), atMs: ms, silent: z.array(id) }),
  /** A session's history is closed; `complete` when its events were read to `session.ended`. */
  z.object({ type: z.literal('closed'), session: id, atMs: ms, complete: z.boolean() }),
]);
export type HistoryRecord = z.infer<typeof historyRecordSchema>;
export type HistoryInput = z.input<typeof historyRecordSchema>;

/** Where a run writes down what it did and what it saw. */
export interface History {
  add(record: HistoryInput): void;
}

/** A history as JSON lines in a file. */
export class HistoryFile implements History {
  readonly #file: ReturnType<typeof createWriteStream>;

  constructor(path: string) {
    this.#file = createWriteStream(path);
    // An unwritable file is reported by close().
    this.#file.on('error', () => {});
  }

  add(record: HistoryInput): void {
    this.#file.write(`${JSON.stringify(record)}\n`);
  }

  /** Resolves when everything is in the file. @throws Error when it could not be written. */
  async close(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#file.once('error', reject);
    if (this.#file.errored) reject(this.#file.errored);
    this.#file.end(resolve);
    await promise;
  }
}

/** @throws Error naming the line that is not a record. A last line that was cut short is passed over. */
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
  if (cut) console.error(`${path}: the last line is incomplete and was passed over`);
  return records;
}
