import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningScene } from './hard-scene.ts';
import type { History } from './history.ts';
import type { Step } from './plan.ts';

/** A session plays again so long after everything was mended: reconnects back off up to 8 s, a new session needs one more. */
const RECOVERY_MS = 30_000;
/** Somebody watches, and received something so recently. */
const PLAYS_WITHIN_MS = 1500;
const CALM_MS = 1000;
/** Whoever has lost its host knows it by then. */
const NOTICE_MS = 2000;
const LOOK_MS = 100;
const TICK_MS = 20;
/** What the tool runs late by is written down from here on. */
const NOTABLE_STALL_MS = 15;

export interface StepResult {
  readonly name: string;
  /** From the end of the faults until everyone played, ms; `undefined` when somebody did not. */
  readonly recoveredMs: number | undefined;
  readonly silent: readonly string[];
}

/** Lets one or two things go wrong, mends them, and waits until everyone plays again. */
export async function runStep(scene: RunningScene, { faults }: Step, history: History): Promise<StepResult> {
  await Promise.all(
    faults.map(async ({ fault, afterMs }) => {
      await sleep(afterMs);
      const beganMs = scene.nowMs();
      const error = await fault.run(scene).then(
        () => undefined,
        (reason: Error) => reason.message,
      );
      const { name, overlaps, delaysMedia } = fault;
      const endedMs = scene.nowMs();
      history.add({ type: 'fault', fault: name, overlaps, delaysMedia, beganMs, endedMs, ...(error && { error }) });
    }),
  );
  const mendedMs = performance.now();
  await sleep(NOTICE_MS);
  let silent: string[];
  do {
    await sleep(LOOK_MS);
    silent = scene.actors.filter((actor) => !actor.playedWithin(PLAYS_WITHIN_MS)).map(({ name }) => name);
  } while (silent.length > 0 && performance.now() - mendedMs < RECOVERY_MS);
  const recoveredMs = silent.length === 0 ? Math.round(performance.now() - mendedMs) : undefined;
  history.add({ type: 'calm', atMs: scene.nowMs(), silent });
  await sleep(CALM_MS);
  return { name: faults.map(({ fault }) => fault.name).join(' + '), recoveredMs, silent };
}

export function stepLine({ name, recoveredMs, silent }: StepResult): string {
  return recoveredMs === undefined
    ? `${name}; !! silent: ${silent.join(', ')}`
    : `${name}; all play after ${recoveredMs} ms`;
}

/** Writes down when this process ran late: what it read then had come earlier. @returns stops it. */
export function watchStalls(scene: Pick<RunningScene, 'nowMs'>, history: History): () => void {
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const stallMs = performance.now() - lastMs - TICK_MS;
    lastMs = performance.now();
    if (stallMs > NOTABLE_STALL_MS) history.add({ type: 'stall', atMs: scene.nowMs(), stallMs });
  }, TICK_MS);
  return () => clearInterval(timer);
}
