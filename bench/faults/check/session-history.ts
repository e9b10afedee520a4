import type { Command, ConnectionSpan, FaultSpan, FrameRun, HistoryRecord, ReceivedEvent } from '../history.ts';

/** A violation found by a rule. */
export interface Violation {
  readonly rule: string;
  readonly session: string | undefined;
  readonly detail: string;
  /** Time of the observation, milliseconds since the start of the run. */
  readonly atMs: number | undefined;
}

/** Limits within which the documentation allows deviations. */
export interface Limits {
  /**
   * Frames that a new host may repeat: the GOP it starts at (1 s), the playhead's age (0.2 s), what the old host played
   * after the last saved playhead while redis-queue did not respond (0.8 s), and a second that a restarted redis-queue may
   * have lost.
   */
  readonly repeatFrames: number;
  /** Frames repeated on the same connection: a restarted decoder gets its GOP up to the last frame it had. */
  readonly restartFrames: number;
  /** The same after a pause of the host or machine, when the GOP may not arrive as one burst and looks like a repetition. */
  readonly gopFrames: number;
  /** A gap of this length on a connection counts as a pause of the host or machine, ms. */
  readonly silenceMs: number;
  /** Time for which media may still arrive after an acknowledged interrupt, end or deletion, ms. */
  readonly graceMs: number;
  /** Time for which the old host may send beside the new one in a planned hand-over, ms. */
  readonly handOverMs: number;
  /** Time after a planned hand-over until its viewers have switched, ms. */
  readonly handOverSettleMs: number;
  /** Time after a fault until delayed media has arrived, ms. */
  readonly delayedMs: number;
}

export function limitsFor(fps: number): Limits {
  return {
    repeatFrames: Math.ceil(3 * fps),
    restartFrames: 1,
    gopFrames: Math.ceil(fps),
    silenceMs: 250,
    graceMs: 2000,
    handOverMs: 6000,
    handOverSettleMs: 15_000,
    delayedMs: 1000,
  };
}

/** The records of one session, each list in order of time. */
export interface SessionHistory {
  readonly session: string;
  readonly commands: readonly Command[];
  readonly events: readonly ReceivedEvent[];
  readonly frameRuns: readonly FrameRun[];
  readonly connections: readonly ConnectionSpan[];
  readonly closed: { readonly atMs: number; readonly complete: boolean } | undefined;
  /** A segment's queue positions in answers and events: one, unless something went wrong. */
  readonly seqsOf: ReadonlyMap<string, ReadonlySet<number>>;
}

/** Records that all sessions share. */
export interface RunHistory {
  readonly frames: ReadonlyMap<string, number>;
  readonly faults: readonly FaultSpan[];
  readonly stalls: readonly { readonly atMs: number; readonly stallMs: number }[];
  readonly limits: Limits;
  /** Whether a connection may outlive the host whose epoch it began in. */
  readonly spread: boolean;
}

export type SessionRule = (session: SessionHistory, run: RunHistory) => Omit<Violation, 'session'>[];

export function sessionsOf(records: readonly HistoryRecord[]): SessionHistory[] {
  const bySession = new Map<string, HistoryRecord[]>();
  for (const record of records) {
    if (!('session' in record) || record.session === undefined) continue;
    const list = bySession.get(record.session);
    if (list) list.push(record);
    else bySession.set(record.session, [record]);
  }
  return [...bySession].map(([session, own]) => sessionOf(session, own));
}

function sessionOf(session: string, records: readonly HistoryRecord[]): SessionHistory {
  const commands = records.filter((record) => record.type === 'command').sort((a, b) => a.sentMs - b.sentMs);
  const events = records.filter((record) => record.type === 'event');
  const frameRuns = records.filter((record) => record.type === 'frames').sort((a, b) => a.fromMs - b.fromMs);
  const connections = records.filter((record) => record.type === 'connection').sort((a, b) => a.firstMs - b.firstMs);
  const closed = records.find((record) => record.type === 'closed');
  const seqsOf = new Map<string, Set<number>>();
  const place = (segment: string | undefined, seq: number | undefined) => {
    if (segment === undefined || seq === undefined) return;
    seqsOf.set(segment, (seqsOf.get(segment) ?? new Set()).add(seq));
  };
  for (const { segments, seqs } of commands) for (const [i, segment] of segments.entries()) place(segment, seqs[i]);
  for (const { event } of events) place(event.segment, event.seq);
  return { session, commands, events, frameRuns, connections, closed, seqsOf };
}

/** Whether media that arrived at this time may have been sent much earlier. */
export function isDelayed(atMs: number, { faults, limits }: RunHistory): boolean {
  return faults.some(
    ({ delaysMedia, beganMs, endedMs }) => delaysMedia && beganMs <= atMs && atMs <= endedMs + limits.delayedMs,
  );
}

/** @returns the runs of each viewer, in order of time. */
export function byViewer(frameRuns: readonly FrameRun[]): FrameRun[][] {
  return [...Map.groupBy(frameRuns, ({ viewer }) => viewer).values()];
}

/** @returns a segment's queue position; `undefined` if it is unknown or ambiguous. */
export function seqOf({ seqsOf }: SessionHistory, segment: string): number | undefined {
  const seqs = seqsOf.get(segment);
  return seqs?.size === 1 ? [...seqs][0] : undefined;
}

/** @returns the reason for which a queue position finished; `undefined` if it has not. */
export function finishReason({ events }: SessionHistory, seq: number): string | undefined {
  return events.find(({ event }) => event.type === 'speech.finished' && event.seq === seq)?.event.reason;
}
