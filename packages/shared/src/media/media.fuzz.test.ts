import { fuzz, fuzzTimeoutMs, makeManifest } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { packGop, unpackGop } from './gop.js';
import { packLivePart, unpackLivePart } from './live-part.js';

const manifest = makeManifest({ source: 'live' });
const frames = Array.from({ length: 30 }, (_, i) => ({ data: Buffer.alloc(i * 7, i), keyframe: i % 10 === 0 }));

describe('unpackGop() of a damaged GOP', () => {
  it('throws RangeError, or returns consecutive frames within it', { timeout: fuzzTimeoutMs() }, async () => {
    const corpus = [packGop(frames), packGop(frames.slice(0, 1)), packGop(frames.slice(10, 13))];
    const { runs } = await fuzz({ corpus, seconds: 3 }, (blob) => {
      try {
        const unpacked = unpackGop(blob);
        const bytes = unpacked.reduce((sum, { data }) => sum + data.length, 8 + 4 * unpacked.length);
        expect(bytes).toBe(blob.length);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    });
    expect(runs).toBeGreaterThan(100);
  });
});

describe('a damaged live part', () => {
  it('throws, or is read within its bounds', { timeout: fuzzTimeoutMs() }, async () => {
    const corpus = [
      packLivePart({ kind: 'frame', rendition: 0, frame: 7, keyframe: true, data: Buffer.alloc(100, 1) }),
      packLivePart({ kind: 'audio', sample: 480, pcm: Buffer.alloc(960, 2) }),
      packLivePart({ kind: 'alive' }),
      packLivePart({ kind: 'end', manifest }),
    ];
    const rejected = new Set<string>();
    const { runs } = await fuzz({ corpus, seconds: 3 }, (value) => {
      try {
        const part = unpackLivePart(value);
        if (part.kind === 'frame') expect(part.data.length).toBe(value.length - 8);
        if (part.kind === 'audio') expect(part.pcm.length).toBe(value.length - 8);
      } catch (error) {
        rejected.add((error as Error).name);
      }
    });
    expect(runs).toBeGreaterThan(100);
    expect(
      [...rejected].filter((name) => !['RangeError', 'SyntaxError', 'ZodError', '$ZodError'].includes(name)),
    ).toEqual([]);
  });
});
