import { HumancastError, retry } from '@humancast/shared';

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;

/**
 * Runs an action and retries it with growing delays, for at most `budgetMs`, while a database is unreachable (any error
 * other than a HumancastError).
 * @throws HumancastError `unavailable` when the budget is used up; a HumancastError of the action immediately; the signal's
 * reason.
 */
export async function withRetry<T>(action: () => Promise<T>, budgetMs: number, signal: AbortSignal): Promise<T> {
  const deadlineMs = performance.now() + budgetMs;
  const onError = (error: unknown, delayMs: number) => {
    if (error instanceof HumancastError) throw error;
    signal.throwIfAborted();
    if (performance.now() + delayMs <= deadlineMs) return;
    throw new HumancastError('unavailable', {
      detail: 'the media store is not reachable; try again',
      retryAfterSeconds: 5,
      cause: error,
    });
  };
  return retry(action, { firstDelayMs: FIRST_DELAY_MS, longestDelayMs: LONGEST_DELAY_MS, signal, onError });
}
