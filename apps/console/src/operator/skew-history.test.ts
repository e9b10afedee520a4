import { describe, expect, it } from 'vitest';
import { NO_HISTORY, withReports } from './skew-history.js';

const viewer = (name: string, skewMs: number, atMs: number) => ({
  viewer: name,
  joinedAtMs: 0,
  whep: false,
  attempt: 1,
  report: { skewMs, atMs },
});

describe('withReports()', () => {
  it('keeps a curve per viewer, all of the same length, with gaps where a report is missing', () => {
    let history = withReports(NO_HISTORY, [viewer('one', 5, 1000)], 1000);
    history = withReports(history, [viewer('one', 6, 2000), viewer('two', -9, 2000)], 2000);
    history = withReports(history, [viewer('one', 6, 2000), viewer('two', -8, 6900)], 7000);
    expect(history.atSeconds).toEqual([1, 2, 7]);
    expect(history.viewers).toEqual([
      { viewer: 'one', skewMs: [5, 6, null] },
      { viewer: 'two', skewMs: [null, -9, -8] },
    ]);
  });

  it('drops values older than two minutes, and viewers without any', () => {
    let history = withReports(NO_HISTORY, [viewer('gone', 5, 0)], 0);
    for (let second = 1; second <= 130; second++)
      history = withReports(history, [viewer('here', 1, second * 1000)], second * 1000);
    expect(history.atSeconds).toHaveLength(120);
    expect(history.viewers.map((curve) => curve.viewer)).toEqual(['here']);
    expect(history.viewers[0]?.skewMs).toHaveLength(120);
  });

  it('ignores a WHEP viewer, which sends no reports', () => {
    expect(
      withReports(NO_HISTORY, [{ viewer: 'player', attempt: 1, joinedAtMs: 0, whep: true }], 1000).viewers,
    ).toEqual([]);
  });
});
