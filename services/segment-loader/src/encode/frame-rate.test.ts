import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseFrameRate, framesPerSecond, gopFramesOf } from './frame-rate.js';

const rate = (num: number, den = 1) => ({ num, den });
type Rate = ReturnType<typeof rate>;

/** @returns The rate chosen for frames at these intervals, and the header's rate. */
const chosen = (seconds: number | undefined, header: { average?: Rate; nominal?: Rate } = {}, isSteady = true) =>
  chooseFrameRate({
    averageRate: header.average,
    nominalRate: header.nominal,
    frameTimes: seconds === undefined ? undefined : { seconds, isSteady },
  });

describe('chooseFrameRate()', () => {
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
      rate(14),
    ]) {
      const seconds = source.den / source.num;
      expect(chosen(seconds, { nominal: source, average: source })).toEqual(source);
      // A nominal rate that is a clock of milliseconds changes nothing.
      expect(framesPerSecond(chosen(seconds, { nominal: rate(1000), average: rate(8) }))).toBeCloseTo(1 / seconds, 3);
    }
  });

  it('distinguishes 29.97 from 30 by the header if timestamps are rounded', () => {
    expect(chosen(0.033345, { nominal: rate(30000, 1001) })).toEqual(rate(30000, 1001));
    expect(chosen(0.033345, { nominal: rate(30) })).toEqual(rate(30));
  });

  it('takes a whole fraction of a faster rate, so that frames stay evenly spaced', () => {
    expect(chosen(1 / 240, { nominal: rate(240) })).toEqual(rate(60));
    expect(chosen(1001 / 120_000, { nominal: rate(120_000, 1001) })).toEqual(rate(60_000, 1001));
    expect(chosen(1 / 90)).toEqual(rate(45));
    expect(chosen(1 / 100)).toEqual(rate(50));
  });

  it('takes the nearest common rate if the rate varies', () => {
    // A phone that states 30 and records 29.2 on average in dim light.
    expect(chosen(1 / 29.2, { average: rate(292, 10), nominal: rate(90_000) }, false)).toEqual(rate(30));
    expect(chosen(1 / 23, { nominal: rate(60) }, false)).toEqual(rate(24));
    expect(chosen(1 / 7, { nominal: rate(60) }, false)).toEqual(rate(10));
    expect(chosen(1 / 110, { nominal: rate(1000) }, false)).toEqual(rate(60));
  });

  it('repeats frames of slower files', () => {
    expect(chosen(1, { nominal: rate(1), average: rate(1) })).toEqual(rate(10));
    expect(chosen(30)).toEqual(rate(10));
  });

  it("takes the header's rate for a single frame if it is valid, else 25", () => {
    expect(chosen(undefined, { nominal: rate(1000) })).toEqual(rate(25));
    expect(chosen(undefined, { nominal: rate(1000), average: rate(30) })).toEqual(rate(30));
    expect(chosen(undefined)).toEqual(rate(25));
  });

  it('always returns a rate that a manifest accepts, from 5 to 60', () => {
    const terms = fc.record({ num: fc.integer({ min: 1, max: 2 ** 31 }), den: fc.integer({ min: 1, max: 2 ** 31 }) });
    const times = fc.option(fc.double({ min: 1e-6, max: 86_400, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(terms, terms, times, fc.boolean(), (average, nominal, seconds, isSteady) => {
        const fps = chosen(seconds, { average, nominal }, isSteady);
        expect(framesPerSecond(fps)).toBeGreaterThanOrEqual(5);
        expect(framesPerSecond(fps)).toBeLessThanOrEqual(60.2);
        expect(Math.max(fps.num, fps.den)).toBeLessThanOrEqual(1_000_000);
        expect(Number.isInteger(fps.num) && Number.isInteger(fps.den)).toBe(true);
      }),
    );
  });
});

describe('gopFramesOf()', () => {
  it('returns the whole number of frames nearest to the wanted duration', () => {
    expect(gopFramesOf(1000, rate(30))).toBe(30);
    expect(gopFramesOf(1000, rate(30000, 1001))).toBe(30);
    expect(gopFramesOf(1000, rate(24000, 1001))).toBe(24);
    expect(gopFramesOf(500, rate(25))).toBe(13);
    expect(gopFramesOf(100, rate(5))).toBe(1);
  });
});
