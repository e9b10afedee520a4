import { HumancastError } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { failureOf } from './load-failure.js';

describe('failureOf()', () => {
  it('does not retry unusable media', () => {
    for (const code of ['media_corrupt', 'media_no_video', 'media_too_long'] as const) {
      expect(failureOf(new HumancastError(code), undefined, 0).retryAtMs).toBeUndefined();
    }
  });

  it('retries other failures at increasing intervals', () => {
    const first = failureOf(new HumancastError('unavailable'), undefined, 0);
    const second = failureOf(new HumancastError('unavailable'), first, 10_000);
    expect(first).toMatchObject({ count: 1, retryAtMs: 2000 });
    expect(second).toMatchObject({ count: 2, retryAtMs: 14_000 });
    const later = Array.from({ length: 30 }).reduce<typeof first>(
      (failure) => failureOf(new HumancastError('encoder_failed'), failure, 0),
      second,
    );
    expect(later.retryAtMs).toBe(600_000);
  });

  it('starts with a longer interval for a full store', () => {
    expect(failureOf(new HumancastError('media_store_full'), undefined, 0).retryAtMs).toBe(30_000);
  });

  it('does not reveal unexpected errors', () => {
    expect(failureOf(new Error('secret'), undefined, 0)).toMatchObject({
      code: 'internal',
      message: expect.not.stringContaining('secret') as string,
    });
  });
});
