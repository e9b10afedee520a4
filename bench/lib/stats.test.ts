import { describe, expect, it } from 'vitest';
import { fitLine, median, percentile, trend } from './stats.ts';

describe('percentile()', () => {
  it('interpolates linearly between ranks, in any order', () => {
    expect([0, 0.5, 0.95, 1].map((share) => percentile([30, 10, 20], share))).toEqual([10, 20, 29, 30]);
    expect(median([4, 1])).toBe(2.5);
  });

  it('returns NaN without values', () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});

describe('fitLine()', () => {
  it("returns the slope with Student's margin", () => {
    // 2x + 1, with residuals 1, −1, 0, −1, 1; t(3) is 3.182.
    const { slope, intercept, slopeMargin } = fitLine([2, 2, 5, 6, 10].map((y, x) => ({ x, y })));
    expect(slope).toBeCloseTo(2, 10);
    expect(intercept).toBeCloseTo(1, 10);
    expect(slopeMargin).toBeCloseTo(3.182 * Math.sqrt(4 / 3 / 10), 1);
  });
});

describe('trend()', () => {
  it('has a narrower margin for a steady drift than for steps without a trend', () => {
    const minutes = Array.from({ length: 1800 }, (_, s) => s / 60);
    const drift = trend(minutes.map((x) => ({ x, y: 0.5 * x })));
    const steps = trend(minutes.map((x) => ({ x, y: Math.floor(x / 3) % 2 })));
    expect(drift.slope).toBeCloseTo(0.5, 6);
    expect(drift.slopeMargin).toBeLessThan(0.001);
    expect(Math.abs(steps.slope)).toBeLessThan(steps.slopeMargin);
  });
});
