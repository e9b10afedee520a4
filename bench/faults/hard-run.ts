import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningScene } from './hard-scene.ts';
import type { History } from './history.ts';
import type { Step } from './plan.ts';

/** Time for a session to play again after a fault: reconnects back off up to 8 s, and a new session needs one more. */
const RECOVERY_MS = 30_000;
/** Maximum age of the last packet of a viewer that counts as playing, ms. */
const PLAYS_WITHIN_MS = 1500;
const CALM_MS = 1000;
/** Time after which a lost host has been noticed, ms. */
const NOTICE_MS = 2000;
const LOOK_MS = 100;
const TICK_MS = 20;
/** Minimum stall of this process that is recorded, ms. */
const NOTABLE_STALL_MS = 15;

export interface StepResult {
  readonly name: string;
  /** Time from the end of the faults until everyone played, ms; `undefined` if somebody did not. */
  readonly recoveredMs: number | undefined;
  readonly silent: readonly string[];
}

/** Runs one or two faults and waits until everyone plays again. */
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

/**
 * Records stalls of this process, after which received packets are older than they appear. @returns A function that stops
 * it.
 */
export function watchStalls(scene: Pick<RunningScene, 'nowMs'>, history: History): () => void {
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const stallMs = performance.now() - lastMs - TICK_MS;
    lastMs = performance.now();
    if (stallMs > NOTABLE_STALL_MS) history.add({ type: 'stall', atMs: scene.nowMs(), stallMs });
  }, TICK_MS);
  return () => clearInterval(timer);
}
