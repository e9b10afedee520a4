import { PCM_CHUNK_SAMPLES } from '@humancast/shared';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAnywhere } from '../../testing/cut-anywhere.js';
import { PcmChunker } from './pcm-chunker.js';

/** PCM with distinct samples. */
function pcm(samples: number): Buffer {
  return Buffer.from(Int16Array.from({ length: samples }, (_, i) => (i % 30_000) + 1).buffer);
}

function chunksOf(chunker: PcmChunker, pieces: readonly Buffer[]): Buffer[] {
  return [...pieces.flatMap((piece) => chunker.push(piece)), ...chunker.end()];
}

describe('PcmChunker', () => {
  it('keeps every sample, in chunks of a second, however the stream is cut', () => {
    const lengths = fc.oneof(fc.nat(2000), fc.integer({ min: PCM_CHUNK_SAMPLES - 3000, max: PCM_CHUNK_SAMPLES * 3 }));
    fc.assert(
      fc.property(
        lengths.chain((samples) => fc.tuple(fc.constant(samples), cutAnywhere(pcm(samples)))),
        ([samples, pieces]) => {
          const chunker = new PcmChunker();
          const chunks = chunksOf(chunker, pieces);
          expect(Buffer.concat(chunks).equals(pcm(samples))).toBe(true);
          expect(chunks.slice(0, -1).every((chunk) => chunk.length === 2 * PCM_CHUNK_SAMPLES)).toBe(true);
          expect(chunks.every((chunk) => chunk.length > 0 && chunk.length <= 2 * PCM_CHUNK_SAMPLES)).toBe(true);
          expect(chunker.sampleCount).toBe(samples);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("removes an encoder's padding, to the stated sample", () => {
    for (const stated of [1000, PCM_CHUNK_SAMPLES, PCM_CHUNK_SAMPLES + 7, 2 * PCM_CHUNK_SAMPLES - 1]) {
      const chunker = new PcmChunker(stated);
      const chunks = chunksOf(chunker, [pcm(stated + 700)]);
      expect(Buffer.concat(chunks).equals(pcm(stated))).toBe(true);
      expect(chunks).toHaveLength(Math.ceil(stated / PCM_CHUNK_SAMPLES));
    }
  });

  it('keeps audio that exceeds the stated length by more than padding can', () => {
    const chunker = new PcmChunker(1000);
    expect(Buffer.concat(chunksOf(chunker, [pcm(4000)])).equals(pcm(4000))).toBe(true);
  });

  it('drops half a sample at the end', () => {
    const chunker = new PcmChunker();
    expect(chunksOf(chunker, [Buffer.from([1, 2, 3])])).toEqual([Buffer.from([1, 2])]);
  });
});
