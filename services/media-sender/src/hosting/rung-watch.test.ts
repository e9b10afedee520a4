import { describe, expect, it } from 'vitest';
import { RungWatch } from './rung-watch.js';

const on = (rungs: Record<string, number>) =>
  new Map(Object.entries(rungs).map(([id, rung]) => [id, { rung, rungs: 3, estimateBps: 1e6 }]));

describe('RungWatch.changes()', () => {
  it('returns a connection whose rung differs from the one returned last, at most once in 5 s', () => {
    const watch = new RungWatch();
    const at = (nowMs: number, rungs: Record<string, number>) =>
      watch.changes(on(rungs), nowMs).map(([id, { rung }]) => [id, rung]);
    expect(at(0, { a: 0, b: 2 })).toEqual([]);
    // It begins small until its path is known.
    expect(at(1000, { a: 0, b: 0 })).toEqual([]);
    expect(at(5000, { a: 1, b: 0 })).toEqual([['a', 1]]);
    // Two steps in 5 s are one, and steps that were taken back are none.
    expect(at(6000, { a: 2, b: 1 })).toEqual([['b', 1]]);
    expect(at(9999, { a: 2, b: 0 })).toEqual([]);
    expect(at(10_000, { a: 2, b: 1 })).toEqual([['a', 2]]);
    expect(at(20_000, { a: 2, b: 1 })).toEqual([]);
  });

  it('forgets connections that have ended', () => {
    const watch = new RungWatch();
    watch.changes(on({ a: 0 }), 0);
    expect(watch.changes(on({ a: 1 }), 5000)).toHaveLength(1);
    watch.changes(on({}), 5100);
    expect(watch.changes(on({ a: 1 }), 5200)).toEqual([]);
    expect(watch.changes(on({ a: 1 }), 10_200)).toHaveLength(1);
  });
});
