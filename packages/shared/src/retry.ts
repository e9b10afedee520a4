import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryOptions {
  readonly firstDelayMs: number;
  /** Delays double up to this. Default: `firstDelayMs`, so that they stay the same. */
  readonly longestDelayMs?: number;
  readonly signal?: AbortSignal;
  /** Called before each delay; what it throws ends the retries. */
  readonly onError: (error: unknown, delayMs: number) => void;
}

/**
 * Repeats an action until it succeeds.
 * @throws what `onError` throws; an AbortError if the signal is aborted during a delay.
 */
export async function retry<T>(action: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { firstDelayMs, longestDelayMs = firstDelayMs, signal, onError } = options;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(2 * delayMs, longestDelayMs)) {
    try {
      return await action();
    } catch (error) {
      onError(error, delayMs);
    }
    await sleep(delayMs, undefined, signal && { signal });
  }
}

/** @returns What a promise resolves to; `undefined` if it is rejected or takes longer than `timeoutMs`. */
export async function inTime<T>(answer: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  try {
    return await Promise.race([answer, promise]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
