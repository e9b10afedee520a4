import { describe, expect, it } from 'vitest';
import { RungAllocator } from './rung-allocator.js';

const RATES = [1_500_000, 500_000, 150_000];

describe('RungAllocator', () => {
  it('starts with the largest rung that fits, and with the smallest if none fits', () => {
    expect(new RungAllocator().choose(RATES, 2_000_000, 0)).toBe(0);
    expect(new RungAllocator().choose(RATES, 600_000, 0)).toBe(1);
    expect(new RungAllocator().choose(RATES, 10_000, 0)).toBe(2);
  });

  it('steps down at once, and up only with a margin and after a wait', () => {
    const allocator = new RungAllocator();
    allocator.choose(RATES, 2_000_000, 0);
    expect(allocator.choose(RATES, 400_000, 10_000)).toBe(2);
    expect(allocator.choose(RATES, 2_000_000, 10_500)).toBe(2);
    expect(allocator.choose(RATES, 550_000, 12_000)).toBe(2);
    expect(allocator.choose(RATES, 600_000, 12_000)).toBe(1);
  });

  it('doubles the wait after each step up that did not hold', () => {
    const allocator = new RungAllocator();
    let nowMs = 0;
    const upAfter = () => {
      for (const downMs = nowMs; ; nowMs += 100) {
        if (allocator.choose(RATES, 2_000_000, nowMs) === 0) return nowMs - downMs;
      }
    };
    allocator.choose(RATES, 2_000_000, nowMs);
    nowMs = 20_000;
    const waits = Array.from({ length: 6 }, () => {
      allocator.choose(RATES, 100_000, nowMs);
      const wait = upAfter();
      nowMs += 1000;
      return wait;
    });
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 16_000]);
  });

  it('accepts a ladder of another length, as of another clip', () => {
    const allocator = new RungAllocator();
    allocator.choose(RATES, 200_000, 0);
    expect(allocator.choose([1_500_000], 200_000, 1000)).toBe(0);
    expect(allocator.choose(RATES, 200_000, 2000)).toBe(2);
  });
});
