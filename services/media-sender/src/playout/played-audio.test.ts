import { describe, expect, it } from 'vitest';
import { BANDS, BandPowers } from '../audio/band-powers.js';
import { PlayedAudio } from './played-audio.js';

const tone = (hz: number, rate: number, samples: number) =>
  Int16Array.from({ length: samples }, (_, i) => 10_000 * Math.sin((2 * Math.PI * hz * i) / rate));

describe('BandPowers', () => {
  it.each([200, 450, 1000, 2000, 4000])('measures a tone of %i Hz alike at both rates, in one band', (hz) => {
    const [at24, at16] = [new Float64Array(BANDS), new Float64Array(BANDS)];
    new BandPowers(480, 24_000).measure(tone(hz, 24_000, 480), at24);
    new BandPowers(320, 16_000).measure(tone(hz, 16_000, 320), at16);
    const power = 10_000 ** 2 / 2;
    expect(Math.max(...at24) / power).toBeCloseTo(1, 1);
    expect(Math.max(...at16) / power).toBeCloseTo(1, 1);
    expect(at24.indexOf(Math.max(...at24))).toBe(at16.indexOf(Math.max(...at16)));
    expect(at24.filter((other) => other > power / 20)).toHaveLength(1);
  });
});

describe('PlayedAudio', () => {
  it('has the largest power between two positions, and silence where nothing is known', () => {
    const played = new PlayedAudio();
    const out = new Float64Array(BANDS);
    for (let block = -1; block < 300; block++) {
      played.add(960 * block - 72, tone(1000, 24_000, 480), block === 250 || block === 10);
    }
    const loudest = (from: number, to: number) => {
      played.loudest(from * 960, to * 960, out);
      return Math.max(...out);
    };
    expect(loudest(240, 251)).toBeGreaterThan(1e7);
    expect(loudest(251, 299)).toBe(0);
    expect(loudest(240, 249)).toBe(0);
    // Block 10 is forgotten, and the time before the start was never played.
    expect(loudest(0, 100)).toBe(0);
    expect(loudest(-500, -400)).toBe(0);
    expect(loudest(290, 1e6)).toBe(0);
  });
});
