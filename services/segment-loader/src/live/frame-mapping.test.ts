import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { framesFor } from './frame-mapping.js';

const rate = fc
  .record({ num: fc.integer({ min: 5, max: 60 }), den: fc.constantFrom(1, 1001 / 1000) })
  .map(({ num, den }) => (den === 1 ? { num, den: 1 } : { num: num * 1000, den: 1001 }));

describe('framesFor()', () => {
  it('is one frame for one at equal rates', () => {
    fc.assert(
      fc.property(rate, fc.nat(100_000), (fps, index) => {
        expect(framesFor(index, fps, fps)).toBe(1);
      }),
    );
  });

  it('doubles 25 fps to 50, and takes every second frame of 60 fps to 30', () => {
    const [fps25, fps50, fps60, fps30] = [25, 50, 60, 30].map((num) => ({ num, den: 1 })) as [
      { num: number; den: number },
      { num: number; den: number },
      { num: number; den: number },
      { num: number; den: number },
    ];
    expect([0, 1, 2].map((i) => framesFor(i, fps25, fps50))).toEqual([2, 2, 2]);
    expect([0, 1, 2, 3].map((i) => framesFor(i, fps60, fps30))).toEqual([1, 0, 1, 0]);
  });

  it('never drifts from the producer by a frame', () => {
    fc.assert(
      fc.property(rate, rate, fc.integer({ min: 1, max: 500 }), (from, to, frames) => {
        let made = 0;
        for (let i = 0; i < frames; i++) made += framesFor(i, from, to);
        const seconds = (frames * from.den) / from.num;
        expect(Math.abs(made - (seconds * to.num) / to.den)).toBeLessThan(1 + 1e-6);
      }),
    );
  });
});
