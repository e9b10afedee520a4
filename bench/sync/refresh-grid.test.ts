import { describe, expect, it } from 'vitest';
import type { Pair } from './pairs.ts';
import { refreshGridOf, trendOnGrid } from './refresh-grid.ts';

const MINUTES = 60_000;

/** Simulates flashes due `latency + drift` after their beeps, shown at the next refresh. */
function presented(options: { seconds: number; periodMs: number; driftMsPerMin?: number; jitterMs?: number }): Pair[] {
  const { seconds, periodMs, driftMsPerMin = 0, jitterMs = 0 } = options;
  let noise = 1;
  return Array.from({ length: seconds }, (_, second) => {
    const atMs = 5000.3 + second * 1000;
    noise = (noise * 16_807) % 2_147_483_647; // A fixed seed.
    const dueMs = atMs + 40 + (driftMsPerMin * atMs) / MINUTES + (noise / 2_147_483_647 - 0.5) * jitterMs;
    const shownMs = Math.round(Math.ceil(dueMs / periodMs) * periodMs * 10) / 10; // The resolution of page clocks.
    return { atMs, errorMs: shownMs - atMs };
  });
}

describe('refresh grid', () => {
  it('finds the refreshes of the screen', () => {
    const grid = refreshGridOf(presented({ seconds: 600, periodMs: 16.666, jitterMs: 2 }));
    expect(grid.periodMs).toBeCloseTo(16.666, 4);
    expect(grid.slipMs).toBeCloseTo(0.04, 3);
    expect(Math.abs(grid.toothFlashes - 416.65)).toBeLessThan(10);
  });

  it('gives no trend if only the refreshes slip', () => {
    const pairs = presented({ seconds: 1790, periodMs: 16.666, jitterMs: 4 });
    expect(Math.abs((trendOnGrid(pairs, refreshGridOf(pairs))?.slope ?? Number.NaN) * MINUTES)).toBeLessThan(0.03);
  });

  it.each([0.1, -0.3])('gives the trend of a drift of %d ms a minute', (driftMsPerMin) => {
    const pairs = presented({ seconds: 1790, periodMs: 16.666, driftMsPerMin, jitterMs: 4 });
    const line = trendOnGrid(pairs, refreshGridOf(pairs));
    expect((line?.slope ?? Number.NaN) * MINUTES).toBeCloseTo(driftMsPerMin, 1);
  });

  it('tolerates missing flashes', () => {
    const pairs = presented({ seconds: 1790, periodMs: 16.666, jitterMs: 4 }).filter((_, i) => i % 97 !== 0);
    expect(Math.abs((trendOnGrid(pairs, refreshGridOf(pairs))?.slope ?? Number.NaN) * MINUTES)).toBeLessThan(0.03);
  });

  it('has no sawtooth on a screen whose period divides a second', () => {
    const pairs = presented({ seconds: 1790, periodMs: 1000 / 60 });
    expect(refreshGridOf(pairs).toothFlashes).toBe(Number.POSITIVE_INFINITY);
    expect(trendOnGrid(pairs, refreshGridOf(pairs))).toBeUndefined();
  });

  it('gives no trend for a run shorter than two teeth', () => {
    const pairs = presented({ seconds: 600, periodMs: 16.666 });
    expect(trendOnGrid(pairs, refreshGridOf(pairs))).toBeUndefined();
  });
});
