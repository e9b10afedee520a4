import { describe, expect, it } from 'vitest';
import { largestStep } from './fade.js';
import { Gain } from './gain.js';

const block = () => Int16Array.from({ length: 480 }, (_, i) => 8000 * Math.sin((2 * Math.PI * 300 * i) / 24_000));

describe('Gain', () => {
  it('leaves audio as it is, to the bit, until it is changed and once it is back', () => {
    const gain = new Gain();
    const pcm = block();
    gain.apply(pcm);
    expect(pcm).toEqual(block());
    gain.set(0.1, 480);
    gain.apply(block());
    gain.set(1, 960);
    for (let i = 0; i < 2; i++) gain.apply(block());
    gain.apply(pcm);
    expect(pcm).toEqual(block());
  });

  it('changes by a ramp, without a step larger than those of the audio', () => {
    const gain = new Gain();
    gain.set(0.1, 960);
    const [first, second, third] = [block(), block(), block()];
    for (const pcm of [first, second, third]) gain.apply(pcm);
    const faded = Int16Array.from([...first, ...second, ...third]);
    expect(largestStep(faded)).toBeLessThanOrEqual(1.02 * largestStep(block()));
    expect(Math.max(...first)).toBeGreaterThan(6000);
    expect(Math.max(...third)).toBeCloseTo(800, -1);
  });

  it('turns around in the middle of a ramp', () => {
    const gain = new Gain();
    const ones = () => new Int16Array(480).fill(10_000);
    gain.set(0, 960);
    const down = ones();
    gain.apply(down);
    expect(down[479]).toBe(5000);
    gain.set(1, 480);
    const up = ones();
    gain.apply(up);
    expect([up[0], up[479]]).toEqual([5010, 10_000]);
  });
});
