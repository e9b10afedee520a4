import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseFrameRate, framesPerSecond, gopFramesOf } from './frame-rate.js';

const rate = (num: number, den = 1) => ({ num, den });
const chosen = (average: ReturnType<typeof rate> | undefined, nominal = average) =>
  chooseFrameRate({ averageRate: average, nominalRate: nominal });

describe('chooseFrameRate', () => {
  it('keeps a constant rate exactly, up to 60', () => {
    for (const source of [
      rate(24000, 1001),
      rate(25),
      rate(30000, 1001),
      rate(30),
      rate(60000, 1001),
      rate(60),
      rate(12),
      rate(25, 2),
    ]) {
      expect(chosen(source)).toEqual(source);
    }
  });

  it('believes the nominal rate where the average is off by rounding', () => {
    expect(chosen(rate(3_003_000, 100_000), rate(30))).toEqual(rate(30));
    expect(chosen(rate(2_998_000, 100_000), rate(30))).toEqual(rate(30));
  });

  it('takes a whole fraction of a faster rate, so that frames stay evenly spaced', () => {
    expect(chosen(rate(240))).toEqual(rate(60));
    expect(chosen(rate(120_000, 1001))).toEqual(rate(60_000, 1001));
    expect(chosen(rate(90))).toEqual(rate(45));
    expect(chosen(rate(100))).toEqual(rate(50));
  });

  it('takes the nearest common rate when the rate varies', () => {
    // A phone that says 30 and, in dim light, makes 29.2 on average.
    expect(chosen(rate(292, 10), rate(90_000))).toEqual(rate(30));
    expect(chosen(rate(23), rate(60))).toEqual(rate(24));
    expect(chosen(rate(7), rate(60))).toEqual(rate(10));
    expect(chosen(rate(110), rate(1000))).toEqual(rate(60));
  });

  it('repeats frames of slower files', () => {
    expect(chosen(rate(1))).toEqual(rate(10));
  });

  it('assumes 25 where the file says nothing', () => {
    expect(chosen(undefined)).toEqual(rate(25));
  });

  it('is always a rate that a manifest can hold, from 5 to 60', () => {
    const terms = fc.record({ num: fc.integer({ min: 1, max: 2 ** 31 }), den: fc.integer({ min: 1, max: 2 ** 31 }) });
    fc.assert(
      fc.property(terms, terms, (average, nominal) => {
        const fps = chosen(average, nominal);
        expect(framesPerSecond(fps)).toBeGreaterThanOrEqual(5);
        expect(framesPerSecond(fps)).toBeLessThanOrEqual(60.0001);
        expect(Math.max(fps.num, fps.den)).toBeLessThanOrEqual(1_000_000);
        expect(Number.isInteger(fps.num) && Number.isInteger(fps.den)).toBe(true);
      }),
    );
  });
});

describe('gopFramesOf', () => {
  it('is the whole number of frames nearest to the wanted time', () => {
    expect(gopFramesOf(1000, rate(30))).toBe(30);
    expect(gopFramesOf(1000, rate(30000, 1001))).toBe(30);
    expect(gopFramesOf(1000, rate(24000, 1001))).toBe(24);
    expect(gopFramesOf(500, rate(25))).toBe(13);
    expect(gopFramesOf(100, rate(5))).toBe(1);
  });
});
