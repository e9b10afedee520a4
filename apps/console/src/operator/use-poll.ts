import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../api.js';

export interface Polled<T> {
  /** The last successful answer. */
  value: T | undefined;
  /** The error of the last request, if it failed. */
  error: ApiError | undefined;
  refresh: () => void;
}

/** Polls while the page is visible, one request at a time. A new `ask` starts over. */
export function usePoll<T>(ask: () => Promise<T>, intervalMs: number, onAnswer?: (value: T) => void): Polled<T> {
  const [value, setValue] = useState<T | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [turn, setTurn] = useState(0);
  useEffect(() => setValue(undefined), [ask]);
  // A change of `turn` polls at once.
  useEffect(() => {
    let current = true;
    let timer: ReturnType<typeof setTimeout>;
    const answered = (answer: T) => {
      if (!current) return;
      setValue(answer);
      onAnswer?.(answer);
      setError(undefined);
    };
    const failed = (thrown: unknown) => {
      if (current) setError(thrown instanceof ApiError ? thrown : new ApiError('internal', ''));
    };
    const poll = async () => {
      if (document.visibilityState === 'visible') await ask().then(answered, failed);
      if (current) timer = setTimeout(() => void poll(), intervalMs);
    };
    void poll();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [ask, intervalMs, turn]);
  return { value, error, refresh: () => setTurn((count) => count + 1) };
}
