import { describe, expect, it } from 'vitest';
import { OnsetDetector } from './onset.ts';

const RATE = 48_000;

function beeps(starts: readonly number[], length: number): Float32Array {
  const samples = new Float32Array(length);
  for (const start of starts) {
    for (let i = 0; i < RATE / 10; i++) samples[start + i] = 0.6 * Math.sin((2 * Math.PI * 1000 * i) / RATE);
  }
  return samples;
}

function detect(samples: Float32Array, from: number, piece: number): number[] {
  const detector = new OnsetDetector({ sampleRate: RATE, toneHz: 1000 });
  const onsets: number[] = [];
  for (let at = 0; at < samples.length; at += piece)
    onsets.push(...detector.push(from + at, samples.subarray(at, at + piece)));
  return onsets;
}

describe('OnsetDetector', () => {
  it.each([128, 960, 5120, 200_000])('finds each beep to the sample, in chunks of %d', (piece) => {
    const onsets = detect(beeps([24_000, 72_007, 120_500], 144_000), 1_000_000, piece);
    expect(onsets).toHaveLength(3);
    for (const [i, start] of [24_000, 72_007, 120_500].entries()) {
      expect(Math.abs((onsets[i] ?? 0) - 1_000_000 - start)).toBeLessThanOrEqual(1);
    }
  });

  it('ignores an echo before the beep', () => {
    const samples = beeps([48_000], 96_000);
    for (let i = 47_500; i < 48_000; i++) samples[i] = 0.08 * Math.sin(i);
    expect(Math.abs((detect(samples, 0, 960)[0] ?? 0) - 48_000)).toBeLessThanOrEqual(1);
  });

  it('ignores a beep that was cut off at its start', () => {
    expect(detect(beeps([0], 48_000).subarray(2000), 0, 960)).toEqual([]);
  });

  it('restarts after missing samples', () => {
    const detector = new OnsetDetector({ sampleRate: RATE, toneHz: 1000 });
    detector.push(0, new Float32Array(48_000));
    expect(detector.push(60_000, beeps([0], 9600))).toEqual([]);
    const [onset = 0] = detector.push(69_600, beeps([24_000], 48_000));
    expect(Math.abs(onset - 93_600)).toBeLessThanOrEqual(1);
  });
});
