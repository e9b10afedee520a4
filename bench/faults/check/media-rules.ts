import type { ConnectionSpan, FrameRun } from '../history.ts';
import {
  byViewer,
  finishReason,
  isDelayed,
  type RunHistory,
  type SessionHistory,
  type SessionRule,
  seqOf,
} from './session-history.ts';

/** Rules for the media that viewers received. */
export const MEDIA_RULES: readonly SessionRule[] = [
  framesAtMostOnce,
  framesInQueueOrder,
  noFrameIsMissing,
  oneHostAtATime,
  silentAfterInterrupt,
  silentAfterEnd,
  refusedIsNotPlayed,
];

/** Frames arrive once; after a change of connection they may repeat, within the limit. */
function framesAtMostOnce({ frameRuns }: SessionHistory, history: RunHistory) {
  const { limits } = history;
  return byViewer(frameRuns).flatMap((runs) => {
    const last = new Map<string, FrameRun>();
    return runs.flatMap((run) => {
      const before = last.get(run.segment);
      if (!before || run.lastFrame >= before.lastFrame) last.set(run.segment, run);
      if (!before) return [];
      const again = Math.min(before.lastFrame, run.lastFrame) - run.firstFrame - run.catchUp + 1;
      const restartFrames = fellSilent(before, run, history) ? limits.gopFrames : limits.restartFrames;
      const allowed = before.connection === run.connection ? restartFrames : limits.repeatFrames;
      return again > allowed
        ? [
            violation(
              'frames-repeated',
              `${describe(run)} repeats ${again} frames of epoch ${before.epoch}`,
              run.fromMs,
            ),
          ]
        : [];
    });
  });
}

/** On one connection, queue positions only grow. */
function framesInQueueOrder(session: SessionHistory) {
  return consecutive(session).flatMap(([before, run]) => {
    const [earlier, later] = [seqOf(session, before.segment), seqOf(session, run.segment)];
    return earlier !== undefined && later !== undefined && later < earlier
      ? [violation('frame-order', `segment ${later} was received after ${earlier}`, run.fromMs)]
      : [];
  });
}

/**
 * On one connection without packet loss, a segment reported as played to its end was received from the first frame to the
 * last; in a spread session, unless its media-sender fell silent, because the others went on.
 */
function noFrameIsMissing(session: SessionHistory, history: RunHistory) {
  const { frames, spread } = history;
  return consecutive(session)
    .filter(([before, run]) => before.lostBefore === before.lostAfter && before.lostAfter === run.lostBefore)
    .filter(([before, run]) => !(spread && fellSilent(before, run, history)))
    .flatMap(([before, run]) => {
      if (before.segment !== run.segment) return missingBetween(session, before, run, frames.get(before.segment));
      const last = lastFrameBefore(session, run);
      return run.firstFrame > last + 1
        ? [violation('frames-missing', `${describe(run)} continues after frame ${last}`, run.fromMs)]
        : [];
    });
}

/** @returns the last frame of the run's segment that its connection had received before. */
function lastFrameBefore({ frameRuns }: SessionHistory, run: FrameRun): number {
  const same = frameRuns.filter(({ connection, segment }) => connection === run.connection && segment === run.segment);
  return Math.max(-1, ...same.slice(0, same.indexOf(run)).map(({ lastFrame }) => lastFrame));
}

/** Whether the host paused; a pause of the machine itself hides the host's. */
function fellSilent(before: FrameRun, run: FrameRun, { limits: { silenceMs }, stalls }: RunHistory): boolean {
  if (run.fromMs - before.untilMs >= silenceMs) return true;
  return stalls.some(({ atMs, stallMs }) => stallMs >= silenceMs && Math.abs(run.fromMs - atMs) < 2 * stallMs);
}

function missingBetween(session: SessionHistory, before: FrameRun, run: FrameRun, needed: number | undefined) {
  const [earlier, later] = [seqOf(session, before.segment), seqOf(session, run.segment)];
  if (needed === undefined || earlier === undefined || later === undefined) return [];
  const played = (seq: number) => finishReason(session, seq) === 'finished';
  const found = [];
  if (played(earlier) && before.lastFrame < needed - 1)
    found.push(violation('frames-missing', `${describe(before)} ends before frame ${needed - 1}`, before.untilMs));
  if (run.firstFrame > 0)
    found.push(violation('frames-missing', `${describe(run)} does not begin at frame 0`, run.fromMs));
  for (let seq = earlier + 1; seq < later; seq++) {
    if (played(seq)) found.push(violation('frames-missing', `segment ${seq} was not received`, run.fromMs));
  }
  return found;
}

/**
 * Once any viewer's connection receives a newer epoch, none receives an older one; in a spread session, none of this viewer,
 * because other viewers stay at their followers. In a planned hand-over, the old host sends until its viewers have switched.
 */
function oneHostAtATime({ connections }: SessionHistory, run: RunHistory) {
  return connections.flatMap((newer) =>
    connections
      .filter((older) => !run.spread || older.viewer === newer.viewer)
      .filter((older) => older.epoch < newer.epoch && !isDelayed(older.lastMs, run))
      .flatMap((older) => {
        const bothMs = older.lastMs - newer.firstMs;
        return bothMs > allowedOverlapMs(newer, run)
          ? [
              violation(
                'two-hosts',
                `epoch ${older.epoch} sent for ${bothMs.toFixed(0)} ms beside ${newer.epoch}`,
                newer.firstMs,
              ),
            ]
          : [];
      }),
  );
}

function allowedOverlapMs({ firstMs }: ConnectionSpan, { faults, limits, stalls }: RunHistory): number {
  const planned = faults.some(
    ({ overlaps, beganMs, endedMs }) => overlaps && beganMs <= firstMs && firstMs <= endedMs + limits.handOverSettleMs,
  );
  if (planned) return limits.handOverMs;
  const near = stalls.filter(({ atMs, stallMs }) => firstMs >= atMs - stallMs && firstMs <= atMs + stallMs);
  return Math.max(0, ...near.map(({ stallMs }) => stallMs));
}

/** Segments covered by an acknowledged interruption are no longer received. */
function silentAfterInterrupt(session: SessionHistory, history: RunHistory) {
  return session.commands.flatMap((command) => {
    const through = interruptedThrough(command);
    if (through === undefined) return [];
    return session.frameRuns
      .filter(({ segment, untilMs }) => {
        const seq = seqOf(session, segment);
        return seq !== undefined && seq <= through && isLate(untilMs, command.doneMs, history);
      })
      .map((run) => late('played-after-interrupt', run, command.doneMs, 'the interruption'));
  });
}

function interruptedThrough({ command, interrupt, outcome, seqs, interruptedSeq }: SessionHistory['commands'][number]) {
  if (outcome !== 'ok') return undefined;
  if (command === 'interrupt') return interruptedSeq;
  const [first] = seqs;
  return command === 'speak' && interrupt && first !== undefined ? first - 1 : undefined;
}

function silentAfterEnd({ commands, connections }: SessionHistory, history: RunHistory) {
  const end = commands.find(({ command, outcome }) => command === 'end' && outcome === 'ok');
  if (!end) return [];
  return connections
    .filter(({ lastMs }) => isLate(lastMs, end.doneMs, history))
    .map(({ epoch, lastMs }) =>
      violation('played-after-end', `epoch ${epoch} sent ${(lastMs - end.doneMs).toFixed(0)} ms after the end`, lastMs),
    );
}

function refusedIsNotPlayed({ commands, frameRuns }: SessionHistory) {
  const asked = commands.filter(({ command }) => command === 'speak');
  const possible = new Set(asked.filter(({ outcome }) => outcome !== 'failed').flatMap(({ segments }) => segments));
  const rejected = new Set(asked.flatMap(({ segments }) => segments).filter((segment) => !possible.has(segment)));
  return frameRuns
    .filter(({ segment }) => rejected.has(segment))
    .map((run) =>
      violation('rejected-but-done', `${describe(run)} was received although speak was rejected`, run.fromMs),
    );
}

/** Whether media arrived so long after it should have stopped that it must have been sent after that, too. */
export function isLate(atMs: number, sinceMs: number, history: RunHistory): boolean {
  return atMs > sinceMs + history.limits.graceMs && !isDelayed(atMs, history);
}

/** Reports a run that ended `graceMs` or more after it should have stopped. */
export function late(rule: string, run: FrameRun, sinceMs: number, what: string) {
  return violation(
    rule,
    `${describe(run)} was received until ${(run.untilMs - sinceMs).toFixed(0)} ms after ${what}`,
    run.untilMs,
  );
}

/** @returns pairs of consecutive runs of one viewer on the same connection. */
function consecutive({ frameRuns }: SessionHistory): [FrameRun, FrameRun][] {
  return [...Map.groupBy(frameRuns, ({ viewer, connection }) => `${viewer} ${connection}`).values()].flatMap((runs) =>
    runs.slice(1).map((run, i): [FrameRun, FrameRun] => [runs[i] as FrameRun, run]),
  );
}

function describe({ segment, firstFrame, lastFrame, viewer }: FrameRun): string {
  return `${segment} frames ${firstFrame}–${lastFrame} at ${viewer}`;
}

function violation(rule: string, detail: string, atMs: number | undefined) {
  return { rule, detail, atMs };
}
