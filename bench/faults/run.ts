import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from '../lib/stats.ts';
import type { Fault } from './faults.ts';
import { overlapsMs, type SessionLoad } from './session-load.ts';

/** Time after a fault until every viewer without video has noticed, ms. */
const NOTICE_MS = 1500;
/** Pause after the last viewer has recovered, ms. */
const CALM_MS = 500;
const RECOVERY_MS = 20_000;
/** Time for which a replaced host is still listened to, ms. */
const GHOST_MS = 5000;

export interface FaultResult {
  readonly fault: string;
  /** Time from the start of the fault until the last viewer had video again, ms; 0 if no viewer lost it for long. */
  readonly recoveredMs: number;
  /** The longest time without a new frame, over viewers, ms. */
  readonly gapMs: { readonly p50: number; readonly p95: number; readonly worst: number };
  /** The largest number of speech frames that a new host repeated. */
  readonly framesAgain: number;
  readonly problems: readonly string[];
}

/** Runs one fault and waits until all viewers have recovered. */
export async function runFault(load: SessionLoad, fault: Fault): Promise<FaultResult> {
  const resumedBefore = new Map(load.sessions.map(({ playback }) => [playback, playback.resumptions.length]));
  const skipsBefore = new Map(load.sessions.map(({ playback }) => [playback, playback.skips]));
  for (const { viewer } of load.sessions) {
    viewer.ghostMs = fault.overlaps ? 0 : GHOST_MS;
    viewer.record.longestGapMs = 0;
    viewer.record.gaps.length = 0;
    viewer.record.links.splice(0, viewer.record.links.length - 1);
  }
  const beganMs = performance.now();
  const problems: string[] = [];
  await fault.run(load).catch((error: Error) => problems.push(`the fault itself failed: ${error.message}`));
  await sleep(NOTICE_MS);
  const missing = await load.untilAllPlay(RECOVERY_MS);
  for (const { session } of missing) problems.push(`${session.id} does not play again`);
  await sleep(CALM_MS);
  const ends = load.viewers.flatMap(({ record }) => record.gaps.map(({ endedMs }) => endedMs - beganMs));
  const gaps = load.viewers.map(({ record }) => record.longestGapMs);
  const resumptions = load.sessions.flatMap(({ playback }) => playback.resumptions.slice(resumedBefore.get(playback)));
  for (const { session, playback } of load.sessions) {
    const skips = playback.skips - (skipsBefore.get(playback) ?? 0);
    if (skips > 0) problems.push(`${session.id}: frames of speech were left out ${skips} times`);
  }
  if (!fault.overlaps) problems.push(...overlapProblems(load));
  return {
    fault: fault.name,
    recoveredMs: Math.round(Math.max(0, ...ends)),
    gapMs: {
      p50: Math.round(percentile(gaps, 0.5)),
      p95: Math.round(percentile(gaps, 0.95)),
      worst: Math.round(Math.max(...gaps)),
    },
    framesAgain: Math.max(0, ...resumptions.map(({ again }) => again)),
    problems,
  };
}

function overlapProblems(load: SessionLoad): string[] {
  return load.sessions.flatMap(({ session, viewer }) =>
    overlapsMs(viewer)
      .filter((ms) => ms > 0)
      .map((ms) => `${session.id}: two hosts sent at once, for ${ms.toFixed(0)} ms`),
  );
}

export function resultLine({ fault, recoveredMs, gapMs, framesAgain, problems }: FaultResult): string {
  const again = framesAgain > 0 ? `, ${framesAgain} frames again` : '';
  const wrong = problems.length > 0 ? `  !! ${problems.join('; ')}` : '';
  return `${fault}: recovered after ${recoveredMs} ms; gap p50 ${gapMs.p50}, worst ${gapMs.worst} ms${again}${wrong}`;
}
