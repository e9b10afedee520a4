import { describe, expect, it } from 'vitest';
import { BargeInLimit } from './barge-in-limit.js';

describe('BargeInLimit', () => {
  it('leaves the avatar most of its speech, however often one viewer tries, and other viewers their turn', () => {
    let nowMs = 0;
    const limit = new BargeInLimit(6, () => nowMs);
    let taken = 0;
    for (; nowMs < 600_000; nowMs += 600) if (limit.take('vw_television')) taken++;
    expect(taken).toBeGreaterThanOrEqual(6 + 58);
    expect(taken).toBeLessThanOrEqual(6 + 60);
    expect(['vw_television', 'vw_television', 'vw_somebody1'].map((viewer) => limit.take(viewer)).slice(1)).toEqual([
      false,
      true,
    ]);
  });

  it('is not evaded by joining again and again', () => {
    const limit = new BargeInLimit(6, () => 0);
    const taken = Array.from({ length: 5000 }, (_, i) => limit.take(`vw_${i}`)).filter(Boolean);
    expect(taken).toHaveLength(18);
  });
});
