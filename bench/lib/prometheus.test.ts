import { describe, expect, it } from 'vitest';
import { countedBetween, quantile, sumOf } from './prometheus.ts';

const before = new Map([
  [0.005, 10],
  [0.015, 10],
  [Number.POSITIVE_INFINITY, 10],
]);
const after = new Map([
  [0.005, 109],
  [0.015, 110],
  [Number.POSITIVE_INFINITY, 110],
]);

describe('quantile()', () => {
  it("is exact at a bucket's bound, and linear inside a bucket", () => {
    const counted = countedBetween(before, after);
    expect(quantile(counted, 0.99)).toBeCloseTo(0.005, 12);
    expect(quantile(counted, 0.5)).toBeCloseTo((0.005 * 50) / 99, 12);
    expect(quantile(counted, 1)).toBeCloseTo(0.015, 12);
  });

  it('treats several histograms as one', () => {
    expect(sumOf(before, after).get(0.005)).toBe(119);
  });

  it('returns NaN for an empty histogram', () => {
    expect(quantile(countedBetween(before, before), 0.5)).toBeNaN();
  });
});
