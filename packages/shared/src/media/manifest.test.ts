import { FRAME_RATES } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCK_RATE, durationSamplesOf, gopCount, pcmChunkCount, steadyRenditions } from './manifest.js';

describe('durationSamplesOf()', () => {
  it('is exact if the video is a whole number of samples', () => {
    expect(durationSamplesOf(30, { num: 30, den: 1 }, 0)).toBe(48_000);
    expect(durationSamplesOf(25 * 3600, { num: 25, den: 1 }, 0)).toBe(48_000 * 3600);
    expect(durationSamplesOf(30_000, { num: 30_000, den: 1001 }, 0)).toBe(48_000 * 1001);
  });

  it('is that of the longer of audio and video', () => {
    expect(durationSamplesOf(30, { num: 30, den: 1 }, 36_000)).toBe(72_000);
    expect(durationSamplesOf(60, { num: 30, den: 1 }, 12_000)).toBe(96_000);
  });

  it('is never 0', () => {
    expect(durationSamplesOf(0, { num: 30, den: 1 }, 0)).toBe(2);
  });

  it('is even, covers both tracks, and exceeds them by less than a PCM sample', () => {
    const frames = fc.integer({ min: 1, max: 5_184_000 }); // A day at 60 fps.
    const pcm = fc.integer({ min: 0, max: 2_073_600_000 });
    fc.assert(
      fc.property(frames, fc.constantFrom(...FRAME_RATES), pcm, (n, fps, pcmSamples) => {
        const duration = BigInt(durationSamplesOf(n, fps, pcmSamples));
        expect(duration % 2n).toBe(0n);
        // Exactly, in whole numbers: duration · num ≥ n · 48000 · den
        const pictureTimesNum = BigInt(n) * BigInt(CLOCK_RATE) * BigInt(fps.den);
        const num = BigInt(fps.num);
        expect(duration * num >= pictureTimesNum).toBe(true);
        expect(duration >= BigInt(pcmSamples) * 2n).toBe(true);
        const tight = (duration - 2n) * num < pictureTimesNum || duration === BigInt(pcmSamples) * 2n;
        expect(tight).toBe(true);
      }),
    );
  });
});

describe('gopCount() and pcmChunkCount()', () => {
  it('include the last, shorter part', () => {
    expect(gopCount({ frames: 0, gopFrames: 30 })).toBe(0);
    expect(gopCount({ frames: 30, gopFrames: 30 })).toBe(1);
    expect(gopCount({ frames: 31, gopFrames: 30 })).toBe(2);
    expect(pcmChunkCount({ pcmSamples: 0 })).toBe(0);
    expect(pcmChunkCount({ pcmSamples: 24_001 })).toBe(2);
  });
});

it('steadyRenditions() are the smallest of each codec; of equal ones the last', () => {
  const rendition = (codec: 'vp8' | 'h264', bitrateBps: number) => {
    return { id: `${codec}-${bitrateBps}`, codec, width: 2, height: 2, bitrateBps, bytes: 0 };
  };
  expect(steadyRenditions([rendition('vp8', 1), rendition('h264', 9), rendition('vp8', 5)])).toEqual([0, 1]);
  expect(steadyRenditions([rendition('vp8', 5), rendition('vp8', 5)])).toEqual([1]);
});
