import type { HistoryRecord } from '../history.ts';
import { EVENT_RULES } from './event-rules.ts';
import { isLate, late, MEDIA_RULES } from './media-rules.ts';
import {
  type Limits,
  limitsFor,
  type RunHistory,
  type SessionHistory,
  sessionsOf,
  type Violation,
} from './session-history.ts';

export interface CheckResult {
  readonly violations: readonly Violation[];
  /** How much was checked: an empty history has no violations. */
  readonly counted: {
    readonly sessions: number;
    readonly commands: number;
    /** Commands whose outcome is unknown to the caller. */
    readonly unknown: number;
    readonly events: number;
    readonly accepted: number;
    /** Queue entries by the reason for which they finished. */
    readonly finished: Readonly<Record<string, number>>;
    readonly receivedSegments: number;
    /** The largest number of frames that a viewer received again from a new host. */
    readonly framesAgain: number;
    /** Viewers' connections, and the epoch changes they saw. */
    readonly connections: number;
    readonly epochChanges: number;
    readonly deletions: number;
    readonly faults: number;
  };
}

const DEFAULT_FPS = 25;

/**
 * Checks a history against the guarantees of docs/operations.md.
 *
 * @param limits default: those for the run's frame rate.
 */
export function checkHistory(records: readonly HistoryRecord[], limits?: Limits): CheckResult {
  const { fps = DEFAULT_FPS, spread = false } = records.find((record) => record.type === 'run') ?? {};
  const run: RunHistory = {
    frames: new Map(
      records.filter((record) => record.type === 'segment').map(({ segment, frames }) => [segment, frames]),
    ),
    faults: records.filter((record) => record.type === 'fault'),
    stalls: records.filter((record) => record.type === 'stall'),
    limits: limits ?? limitsFor(fps),
    spread,
  };
  const sessions = sessionsOf(records);
  const violations = [
    ...sessions.flatMap((session) => sessionViolations(session, run)),
    ...deletionViolations(records, run),
    ...recoveryViolations(records),
  ];
  violations.sort((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0));
  return { violations, counted: count(records, sessions) };
}

function sessionViolations(session: SessionHistory, run: RunHistory): Violation[] {
  return [...EVENT_RULES, ...MEDIA_RULES].flatMap((rule) =>
    rule(session, run).map((found) => ({ ...found, session: session.session })),
  );
}

/** A deleted segment is not played in any session, and does not come back. */
function deletionViolations(records: readonly HistoryRecord[], history: RunHistory): Violation[] {
  const deletedMs = new Map<string, number>();
  for (const record of records) {
    if (record.type !== 'command' || record.command !== 'delete' || record.outcome !== 'ok') continue;
    for (const segment of record.segments) deletedMs.set(segment, record.doneMs);
  }
  return records.flatMap((record): Violation[] => {
    if (record.type !== 'frames' && record.type !== 'lookup') return [];
    const sinceMs = deletedMs.get(record.segment);
    if (sinceMs === undefined) return [];
    if (record.type === 'frames') {
      if (!isLate(record.untilMs, sinceMs, history)) return [];
      return [{ ...late('played-after-delete', record, sinceMs, 'its deletion'), session: record.session }];
    }
    const { segment, atMs, status } = record;
    if (status !== 200 || atMs < sinceMs) return [];
    const afterMs = (atMs - sinceMs).toFixed(0);
    return [
      {
        rule: 'deleted-back',
        session: undefined,
        detail: `${segment} was back ${afterMs} ms after its deletion`,
        atMs,
      },
    ];
  });
}

function recoveryViolations(records: readonly HistoryRecord[]): Violation[] {
  return records.flatMap((record): Violation[] => {
    if (record.type === 'calm') {
      const { atMs } = record;
      return record.silent.map((session) => ({ rule: 'silent', session, detail: 'does not play again', atMs }));
    }
    if (record.type === 'crash') {
      const { process, atMs, log } = record;
      return [{ rule: 'crash', session: undefined, detail: `${process} ended unexpectedly: ${log}`, atMs }];
    }
    if (record.type !== 'fault' || record.error === undefined) return [];
    const detail = `${record.fault}: ${record.error}`;
    return [{ rule: 'fault-failed', session: undefined, detail, atMs: record.endedMs }];
  });
}

function count(records: readonly HistoryRecord[], sessions: readonly SessionHistory[]): CheckResult['counted'] {
  const commands = records.filter((record) => record.type === 'command');
  const finished: Record<string, number> = {};
  for (const { event } of sessions.flatMap(({ events }) => events)) {
    if (event.type !== 'speech.finished') continue;
    finished[event.reason ?? 'unknown'] = (finished[event.reason ?? 'unknown'] ?? 0) + 1;
  }
  return {
    sessions: sessions.length,
    commands: commands.length,
    unknown: commands.filter(({ outcome }) => outcome === 'unknown').length,
    events: sessions.reduce((sum, { events }) => sum + events.length, 0),
    accepted: commands.filter(({ outcome }) => outcome === 'ok').reduce((sum, { seqs }) => sum + seqs.length, 0),
    finished,
    receivedSegments: sessions.reduce(
      (sum, { frameRuns }) => sum + new Set(frameRuns.map(({ segment }) => segment)).size,
      0,
    ),
    framesAgain: Math.max(0, ...sessions.map(framesAgain)),
    connections: sessions.reduce((sum, { connections }) => sum + connections.length, 0),
    epochChanges: sessions.reduce(
      (sum, { connections }) => sum + Math.max(0, new Set(connections.map(({ epoch }) => epoch)).size - 1),
      0,
    ),
    deletions: commands.filter(({ command, outcome }) => command === 'delete' && outcome === 'ok').length,
    faults: records.filter(({ type }) => type === 'fault').length,
  };
}

function framesAgain({ frameRuns }: SessionHistory): number {
  const last = new Map<string, number>();
  let most = 0;
  for (const { viewer, segment, firstFrame, catchUp, lastFrame } of frameRuns) {
    const key = `${viewer} ${segment}`;
    most = Math.max(most, Math.min(last.get(key) ?? -1, lastFrame) - firstFrame - catchUp + 1);
    last.set(key, Math.max(last.get(key) ?? -1, lastFrame));
  }
  return most;
}
