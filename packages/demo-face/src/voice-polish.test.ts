import { describe, expect, it } from 'vitest';
import { polishVoice } from './voice-polish.js';

const RATE = 22_050;

function tone(hz: number, amplitude: number): Int16Array {
  return Int16Array.from({ length: RATE }, (_, i) => 32_767 * amplitude * Math.sin((2 * Math.PI * hz * i) / RATE));
}

/** @returns The level in dBFS, once the filters have settled. */
function level(pcm: Int16Array): number {
  const part = pcm.subarray(RATE / 2);
  return 10 * Math.log10(part.reduce((sum, sample) => sum + (sample / 32_768) ** 2, 0) / part.length);
}

const gainOf = (hz: number, amplitude: number) =>
  level(polishVoice(tone(hz, amplitude), RATE)) - level(tone(hz, amplitude));

describe('polishVoice()', () => {
  it('boosts lows, reduces harsh highs and removes rumble at low levels', () => {
    const middle = gainOf(1000, 0.05);
    expect(middle).toBeCloseTo(5.8, 0);
    expect(gainOf(240, 0.05) - middle).toBeGreaterThan(1.5);
    expect(gainOf(3200, 0.05) - middle).toBeLessThan(-2);
    expect(gainOf(20, 0.05) - middle).toBeLessThan(-20);
    expect(gainOf(10_000, 0.05) - middle).toBeLessThan(-10);
  });

  it('compresses: 10 dB more input yields about 4 dB more output', () => {
    const [soft, loud] = [0.25, 0.25 * 10 ** (10 / 20)].map((amplitude) =>
      level(polishVoice(tone(1000, amplitude), RATE)),
    );
    expect((loud ?? 0) - (soft ?? 0)).toBeGreaterThan(3.2);
    expect((loud ?? 0) - (soft ?? 0)).toBeLessThan(5);
  });

  it('adds no delay and keeps the length', () => {
    const click = new Int16Array(1000);
    click[500] = 8000;
    const polished = polishVoice(click, RATE);
    expect(polished).toHaveLength(1000);
    expect(polished.subarray(0, 500).every((sample) => sample === 0)).toBe(true);
    expect(Math.max(...polished.subarray(500, 503))).toBe(Math.max(...polished));
  });

  it('never overflows', () => {
    const polished = polishVoice(
      Int16Array.from({ length: 2000 }, (_, i) => (i % 40 < 20 ? 32_767 : -32_768)),
      RATE,
    );
    expect(Math.max(...polished)).toBeLessThanOrEqual(32_767);
    expect(polished.some((sample, i) => i > 0 && Math.abs(sample - (polished[i - 1] ?? 0)) > 65_000)).toBe(false);
  });
});
