import { describe, expect, it } from 'vitest';
import { NO_HISTORY, withLook } from './skew-history.js';

const viewer = (name: string, skewMs: number, atMs: number) => ({
  viewer: name,
  joinedAtMs: 0,
  whep: false,
  attempt: 1,
  report: { skewMs, atMs },
});

describe('the history of skew', () => {
  it('has a curve for each viewer, of the same length, with holes where it said nothing', () => {
    let history = withLook(NO_HISTORY, [viewer('one', 5, 1000)], 1000);
    history = withLook(history, [viewer('one', 6, 2000), viewer('two', -9, 2000)], 2000);
    history = withLook(history, [viewer('one', 6, 2000), viewer('two', -8, 6900)], 7000);
    expect(history.atSeconds).toEqual([1, 2, 7]);
    expect(history.viewers).toEqual([
      { viewer: 'one', skewMs: [5, 6, null] },
      { viewer: 'two', skewMs: [null, -9, -8] },
    ]);
  });

  it('forgets what is older than two minutes, and viewers who left before that', () => {
    let history = withLook(NO_HISTORY, [viewer('gone', 5, 0)], 0);
    for (let second = 1; second <= 130; second++)
      history = withLook(history, [viewer('here', 1, second * 1000)], second * 1000);
    expect(history.atSeconds).toHaveLength(120);
    expect(history.viewers.map((curve) => curve.viewer)).toEqual(['here']);
    expect(history.viewers[0]?.skewMs).toHaveLength(120);
  });

  it('takes a WHEP viewer, who reports nothing, for what it is', () => {
    expect(withLook(NO_HISTORY, [{ viewer: 'player', attempt: 1, joinedAtMs: 0, whep: true }], 1000).viewers).toEqual(
      [],
    );
  });
});
