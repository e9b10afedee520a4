import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AudioIntake } from './audio-intake.js';

const float = (...samples: number[]) => Buffer.from(Float32Array.from(samples).buffer);

describe('AudioIntake', () => {
  it('returns 16-bit samples at the stored rate unchanged, at any offset in memory', () => {
    fc.assert(
      fc.property(fc.int16Array(), fc.integer({ min: 0, max: 3 }), (samples, offset) => {
        const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(samples.buffer)]).subarray(offset);
        expect(new AudioIntake({ sampleRate: 24_000, sampleFormat: 's16' }).push(bytes)).toEqual(samples);
      }),
    );
  });

  it('clamps out-of-range floats, replaces NaN with silence, and counts both', () => {
    const intake = new AudioIntake({ sampleRate: 24_000, sampleFormat: 'f32' });
    const samples = intake.push(float(0, 0.5, 1, -1, 1.5, -7, Number.NaN, Number.POSITIVE_INFINITY));
    expect([...samples]).toEqual([0, 16_384, 32_767, -32_768, 32_767, -32_768, 0, 32_767]);
    expect(intake.clampedSamples).toBe(4);
  });

  it('never overflows when resampling loud audio', () => {
    const intake = new AudioIntake({ sampleRate: 48_000, sampleFormat: 'f32' });
    const square = float(...Array.from({ length: 4800 }, (_, i) => (i % 96 < 48 ? 1 : -1)));
    const samples = intake.push(square);
    expect(Math.max(...samples)).toBe(32_767);
    expect(Math.min(...samples)).toBe(-32_768);
    expect(intake.clampedSamples).toBe(0);
  });

  it.each([
    ['s16', 3],
    ['f32', 6],
  ] as const)('rejects a partial sample of %s', (sampleFormat, bytes) => {
    const intake = new AudioIntake({ sampleRate: 24_000, sampleFormat });
    expect(() => intake.push(Buffer.alloc(bytes))).toThrow(expect.objectContaining({ code: 'live_audio_size' }));
  });
});
