import { setTimeout as sleep } from 'node:timers/promises';

const TIMEOUT_MS = 25_000;
/** Polling slows down, so that a long wait does not load the machine. */
const [FIRST_POLL_MS, LAST_POLL_MS, POLL_GROWTH] = [2, 50, 1.3];

/**
 * Polls until there is an answer: one that is neither `undefined` nor `false`, or that `isDone` accepts.
 *
 * @param what the awaited condition, for the error.
 * @param look returns the answer; called again if it fails.
 * @param timeoutMs default 25 s.
 * @throws Error with the last answer or error on timeout.
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  isDone: (answer: T) => boolean,
  timeoutMs?: number,
): Promise<T>;
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  isDone?: undefined,
  timeoutMs?: number,
): Promise<T>;
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  isDone: (answer: T) => boolean = (answer) => answer !== undefined && answer !== false,
  timeoutMs = TIMEOUT_MS,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let last: unknown;
  for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * POLL_GROWTH, LAST_POLL_MS)) {
    try {
      const answer = await look();
      if (isDone(answer)) return answer;
      last = JSON.stringify(answer);
    } catch (error) {
      last = error instanceof Error ? error.message : error;
    }
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}; last: ${last}`);
    await sleep(pollMs);
  }
}

/**
 * Waits until a condition holds.
 * @throws Error with the condition's source if it does not hold within 25 s.
 */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(String(condition), condition);
}
