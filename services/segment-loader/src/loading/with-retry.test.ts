import { HumancastError } from '@humancast/shared';
import { describe, expect, it, vi } from 'vitest';
import { withRetry } from './with-retry.js';

describe('withRetry', () => {
  const never = new AbortController().signal;

  it('repeats until it works', async () => {
    let calls = 0;
    const action = () => (++calls < 3 ? Promise.reject(new Error('away')) : Promise.resolve('ok'));
    expect(await withRetry(action, 60_000, never)).toBe('ok');
    expect(calls).toBe(3);
  });

  it('gives up when its time is over, and says what the matter was', async () => {
    const result = withRetry(() => Promise.reject(new Error('away')), 150, never);
    await expect(result).rejects.toMatchObject({ code: 'unavailable', cause: { message: 'away' } });
  });

  it('does not repeat what will not get better', async () => {
    const full = vi.fn(() => Promise.reject(new HumancastError('media_store_full')));
    await expect(withRetry(full, 60_000, never)).rejects.toMatchObject({ code: 'media_store_full' });
    expect(full).toHaveBeenCalledTimes(1);
  });

  it('stops at once when it is given up', async () => {
    const abort = new AbortController();
    const away = vi.fn(() => {
      abort.abort(new Error('given up'));
      return Promise.reject(new Error('away'));
    });
    await expect(withRetry(away, 60_000, abort.signal)).rejects.toThrow('given up');
    expect(away).toHaveBeenCalledTimes(1);
  });
});
