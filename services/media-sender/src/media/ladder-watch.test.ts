import type { SegmentManifest } from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LadderWatch } from './ladder-watch.js';

const small = { id: 'small', codec: 'vp8', width: 2, height: 2, bitrateBps: 1 } as const;
const lacking = (id: string) => makeManifest({ id, missingRenditions: [small] });

describe('LadderWatch', () => {
  const manifests = new Map<string, SegmentManifest>();
  const getManifest = vi.fn(async (id: string) => manifests.get(id));
  beforeEach(() => {
    vi.useFakeTimers();
    manifests.clear();
    getManifest.mockClear();
  });
  afterEach(() => vi.useRealTimers());

  it('reads a manifest once a second for all that watch it, until nothing is missing', async () => {
    const watch = new LadderWatch({ getManifest });
    const heard: (SegmentManifest | undefined)[] = [];
    manifests.set('seg_a', lacking('seg_a'));
    for (let i = 0; i < 3; i++) watch.watch('seg_a', (manifest) => heard.push(manifest.missingRenditions && manifest));
    await vi.advanceTimersByTimeAsync(3500);
    expect(getManifest).toHaveBeenCalledTimes(3);
    heard.length = 0;
    manifests.set('seg_a', makeManifest({ id: 'seg_a' }));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(heard).toEqual([undefined, undefined, undefined]);
    expect(getManifest).toHaveBeenCalledTimes(4);
    expect([watch.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('ends when a segment is gone, its renditions have failed, or nobody plays it', async () => {
    const watch = new LadderWatch({ getManifest });
    const failed = { ...small, failure: { code: 'media_undecodable', message: '' } };
    manifests.set('seg_failed', makeManifest({ id: 'seg_failed', missingRenditions: [failed] }));
    watch.watch('seg_failed', () => {});
    watch.watch('seg_gone', () => {});
    const unwatch = watch.watch('seg_unused', () => {});
    unwatch();
    unwatch();
    expect(watch.size).toBe(2);
    await vi.advanceTimersByTimeAsync(1000);
    expect(getManifest).toHaveBeenCalledTimes(2);
    expect([watch.size, vi.getTimerCount()]).toEqual([0, 0]);
  });

  it('goes on while the store is unreachable, and reads many segments in turn', async () => {
    const watch = new LadderWatch({ getManifest });
    getManifest.mockRejectedValueOnce(new Error('connection lost'));
    const ids = Array.from({ length: 50 }, (_, i) => `seg_${i}`);
    for (const id of ids) {
      manifests.set(id, lacking(id));
      watch.watch(id, () => {});
    }
    await vi.advanceTimersByTimeAsync(1000);
    expect(getManifest).toHaveBeenCalledTimes(32);
    await vi.advanceTimersByTimeAsync(1000);
    expect(new Set(getManifest.mock.calls.map(([id]) => id)).size).toBe(50);
    expect(watch.size).toBe(50);
  });
});
