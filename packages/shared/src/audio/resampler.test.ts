import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Resampler } from './resampler.js';

const OUT = 24_000;

function sine(hz: number, rate: number, seconds: number, amplitude = 0.5): Float64Array {
  return Float64Array.from({ length: rate * seconds }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate));
}

function resample(input: Float64Array, from: number, pieces: readonly number[] = [input.length]): Float64Array {
  const resampler = new Resampler(from, OUT);
  const parts: Float64Array[] = [];
  let at = 0;
  for (const length of pieces) {
    parts.push(resampler.push(input.subarray(at, at + length)));
    at += length;
  }
  parts.push(resampler.push(input.subarray(at)), resampler.end());
  return Float64Array.from(parts.flatMap((part) => [...part]));
}

/** @returns The largest difference without the edges, where the signal begins and ends, dBFS. */
function errorDb(actual: Float64Array, expected: Float64Array): number {
  let worst = 0;
  for (let i = 200; i < expected.length - 200; i++) {
    worst = Math.max(worst, Math.abs((actual[i] ?? 0) - (expected[i] ?? 0)));
  }
  return 20 * Math.log10(worst);
}

describe('Resampler', () => {
  it.each([8000, 16_000, 22_050, 32_000, 44_100, 48_000])('reproduces speech at %i Hz without delay', (rate) => {
    for (const hz of [100, 1000, 3000]) {
      expect(errorDb(resample(sine(hz, rate, 1), rate), sine(hz, OUT, 1))).toBeLessThan(-80);
    }
  });

  it.each([44_100, 48_000])('suppresses aliases of %i Hz', (rate) => {
    for (const hz of [13_000, 15_000, 20_000]) {
      expect(errorDb(resample(sine(hz, rate, 1), rate), new Float64Array(OUT))).toBeLessThan(-80);
    }
  });

  it('outputs as much as it gets, whatever the rates', () => {
    fc.assert(
      fc.property(fc.integer({ min: 8000, max: 48_000 }), fc.integer({ min: 0, max: 3000 }), (rate, length) => {
        expect(resample(new Float64Array(length), rate).length).toBe(Math.ceil((length * OUT) / rate));
      }),
      { numRuns: 15 },
    );
  });

  it('gives the same output however the input is cut', () => {
    const input = sine(440, 44_100, 0.1);
    const whole = resample(input, 44_100);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 12 }), (pieces) => {
        expect(resample(input, 44_100, pieces)).toEqual(whole);
      }),
      { numRuns: 30 },
    );
  });

  it('delays no more than the length of its filter', () => {
    const resampler = new Resampler(48_000, OUT);
    const got = resampler.push(new Float64Array(4800)).length;
    expect(got).toBeGreaterThan(2400 - 60);
    expect(got).toBeLessThanOrEqual(2400);
  });
});
