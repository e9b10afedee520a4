import type { Command, ConnectionSpan, FaultSpan, FrameRun, HistoryRecord, ReceivedEvent } from '../history.ts';

/** What a rule found. */
export interface Violation {
  readonly rule: string;
  readonly session: string | undefined;
  readonly detail: string;
  /** When it was seen, milliseconds since the run began. */
  readonly atMs: number | undefined;
}

/** Bounds within which the product's documentation allows what would otherwise be a violation. */
export interface Limits {
  /**
   * Frames that a new host may play again: the GOP it starts at (1 s), the playhead's age (0.2 s), what the old host played after
   * the last saved playhead while redis-queue did not answer (0.8 s), and a second that a restarted redis-queue may have lost.
   */
  readonly repeatFrames: number;
  /** On the same connection, a decoder that starts anew is sent its GOP up to the frame that it had last. */
  readonly restartFrames: number;
  /** Where host or machine stood still, that GOP may not arrive as one burst, and is not told from a repetition. */
  readonly gopFrames: number;
  /** A pause of this length on a connection means that the host or the machine stood still. */
  readonly silenceMs: number;
  /** After an interrupt, an end or a deletion was acknowledged, media may still be on its way for this long. */
  readonly graceMs: number;
  /** In a planned hand-over, the old host may be heard beside the new one for this long. */
  readonly handOverMs: number;
  /** A planned hand-over's viewers have changed over this long after the fault was mended. */
  readonly handOverSettleMs: number;
  /** What waited on its way has arrived this long after the fault was mended. */
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

/** One session's part of a history, each list in the order of time. */
export interface SessionHistory {
  readonly session: string;
  readonly commands: readonly Command[];
  readonly events: readonly ReceivedEvent[];
  readonly frameRuns: readonly FrameRun[];
  readonly connections: readonly ConnectionSpan[];
  readonly closed: { readonly atMs: number; readonly complete: boolean } | undefined;
  /** A segment's places in the queue, as the answers and the events name them: one, unless something went wrong. */
  readonly seqsOf: ReadonlyMap<string, ReadonlySet<number>>;
}

/** What all sessions share. */
export interface RunHistory {
  readonly frames: ReadonlyMap<string, number>;
  readonly faults: readonly FaultSpan[];
  readonly stalls: readonly { readonly atMs: number; readonly stallMs: number }[];
  readonly limits: Limits;
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

/** Whether what arrived at this instant may have left long before. */
export function isDelayed(atMs: number, { faults, limits }: RunHistory): boolean {
  return faults.some(
    ({ delaysMedia, beganMs, endedMs }) => delaysMedia && beganMs <= atMs && atMs <= endedMs + limits.delayedMs,
  );
}

/** Runs of one viewer, in the order of time. */
export function byViewer(frameRuns: readonly FrameRun[]): FrameRun[][] {
  return [...Map.groupBy(frameRuns, ({ viewer }) => viewer).values()];
}

/** A segment's place in the queue; `undefined` when it is not known, or not unambiguous. */
export function seqOf({ seqsOf }: SessionHistory, segment: string): number | undefined {
  const seqs = seqsOf.get(segment);
  return seqs?.size === 1 ? [...seqs][0] : undefined;
}

/** Why a place in the queue was over; `undefined` while it is not. */
export function finishReason({ events }: SessionHistory, seq: number): string | undefined {
  return events.find(({ event }) => event.type === 'speech.finished' && event.seq === seq)?.event.reason;
}
