import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../api.js';

export interface Polled<T> {
  /** The last answer that there was. */
  value: T | undefined;
  /** Why there was none just now. */
  error: ApiError | undefined;
  refresh: () => void;
}

/** Asks again and again while the page is seen, one question at a time. Another `ask` begins anew. */
export function usePoll<T>(ask: () => Promise<T>, intervalMs: number, onAnswer?: (value: T) => void): Polled<T> {
  const [value, setValue] = useState<T | undefined>(undefined);
  const [error, setError] = useState<ApiError | undefined>(undefined);
  const [turn, setTurn] = useState(0);
  useEffect(() => setValue(undefined), [ask]);
  // Another turn asks at once.
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
    const look = async () => {
      if (document.visibilityState === 'visible') await ask().then(answered, failed);
      if (current) timer = setTimeout(() => void look(), intervalMs);
    };
    void look();
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [ask, intervalMs, turn]);
  return { value, error, refresh: () => setTurn((count) => count + 1) };
}
