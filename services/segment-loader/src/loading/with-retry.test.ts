import { HumancastError } from '@humancast/shared';
import { describe, expect, it, vi } from 'vitest';
import { withRetry } from './with-retry.js';

describe('withRetry', () => {
  const never = new AbortController().signal;

  it('retries until the action succeeds', async () => {
    let calls = 0;
    const action = () => (++calls < 3 ? Promise.reject(new Error('unreachable')) : Promise.resolve('ok'));
    expect(await withRetry(action, 60_000, never)).toBe('ok');
    expect(calls).toBe(3);
  });

  it('rejects with unavailable and the cause when its budget is used up', async () => {
    const result = withRetry(() => Promise.reject(new Error('unreachable')), 150, never);
    await expect(result).rejects.toMatchObject({ code: 'unavailable', cause: { message: 'unreachable' } });
  });

  it('does not retry a HumancastError', async () => {
    const full = vi.fn(() => Promise.reject(new HumancastError('media_store_full')));
    await expect(withRetry(full, 60_000, never)).rejects.toMatchObject({ code: 'media_store_full' });
    expect(full).toHaveBeenCalledTimes(1);
  });

  it('rejects at once when it is aborted', async () => {
    const abort = new AbortController();
    const action = vi.fn(() => {
      abort.abort(new Error('aborted'));
      return Promise.reject(new Error('unreachable'));
    });
    await expect(withRetry(action, 60_000, abort.signal)).rejects.toThrow('aborted');
    expect(action).toHaveBeenCalledTimes(1);
  });
});
