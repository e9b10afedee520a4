import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RoundRobin } from './round-robin.js';

const INTERVAL_MS = 200;

describe('RoundRobin', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each([1, 3, 10, 25, 60])('runs each of %d tasks once per interval, in equal groups', (count) => {
    const robin = new RoundRobin(INTERVAL_MS);
    const runs = new Array<number>(count).fill(0);
    let atOnce = 0;
    let most = 0;
    for (let i = 0; i < count; i++) {
      robin.add(() => {
        runs[i] = (runs[i] ?? 0) + 1;
        most = Math.max(most, ++atOnce);
      });
    }
    for (let tick = 0; tick < 200; tick++) {
      atOnce = 0;
      vi.advanceTimersByTime(INTERVAL_MS / 10);
    }
    expect(Math.min(...runs)).toBeGreaterThanOrEqual(19);
    expect(Math.max(...runs)).toBeLessThanOrEqual(20);
    expect(most).toBeLessThanOrEqual(Math.ceil(count / 10));
  });

  it('does not run a stopped task, also if the task stops itself, and has no timer without tasks', () => {
    const robin = new RoundRobin(INTERVAL_MS);
    const runs: string[] = [];
    const stopFirst = robin.add(() => runs.push('first'));
    const stopSecond = robin.add(() => {
      runs.push('second');
      stopSecond();
    });
    stopFirst();
    vi.advanceTimersByTime(5 * INTERVAL_MS);
    expect(runs).toEqual(['second']);
    expect(vi.getTimerCount()).toBe(0);
    robin.add(() => runs.push('third'));
    vi.advanceTimersByTime(INTERVAL_MS);
    expect(runs).toEqual(['second', 'third']);
  });
});
