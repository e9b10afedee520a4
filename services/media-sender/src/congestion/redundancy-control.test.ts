import { describe, expect, it } from 'vitest';
import { RedundancyControl } from './redundancy-control.js';

const WIDE_BPS = 2_000_000;

describe('RedundancyControl', () => {
  it.each([
    [0, 0],
    [0.002, 0],
    [0.01, 1],
    [0.05, 1],
    [0.1, 2],
    [0.5, 2],
  ])('at a loss of %d immediately repeats %d packets', (loss, depth) => {
    expect(new RedundancyControl().update(loss, WIDE_BPS, 0)).toBe(depth);
  });

  it('lowers the depth by one packet every 5 s once the loss is well below what raised it', () => {
    const control = new RedundancyControl();
    control.update(0.1, WIDE_BPS, 0);
    // Between the two thresholds of each depth, nothing changes.
    for (let ms = 20; ms <= 20_000; ms += 20) expect(control.update(0.03, WIDE_BPS, ms)).toBe(2);
    const depths = [];
    for (let ms = 20_000; ms <= 32_000; ms += 1000) depths.push(control.update(0, WIDE_BPS, ms));
    expect(depths).toEqual([2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 0]);
  });

  it('limits audio with its redundancy to half of the estimate', () => {
    const control = new RedundancyControl();
    expect(control.update(0.2, 250_000, 0)).toBe(1);
    expect(control.update(0.2, 150_000, 20)).toBe(0);
    expect(control.update(0.2, 500_000, 40)).toBe(2);
  });
});
