import type { Heard } from '@humancast/protocol';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { packHeard, unpackHeard } from './heard.js';

const HEARD: Heard = {
  viewer: 'vw_12345678',
  epoch: 3,
  frame: 7,
  atMs: 1_700_000_000_000.5,
  playing: { segment: 'seg_12345678', role: 'speech', seq: 2, positionMs: 120 },
  gapMs: 40,
};
const PCM = Buffer.alloc(640, 5);

describe('packHeard() and unpackHeard()', () => {
  it('keep header and PCM, whose offset is even', () => {
    for (const viewer of ['vw_12345678', 'vw_123456789']) {
      const message = packHeard({ heard: { ...HEARD, viewer }, pcm: PCM });
      expect(message.readUInt16LE(0) % 2).toBe(0);
      expect(unpackHeard(message)).toEqual({ heard: { ...HEARD, viewer }, pcm: PCM });
    }
  });

  it('reject damaged messages by an error', { timeout: fuzzTimeoutMs() }, async () => {
    const { runs } = await fuzz({ corpus: [packHeard({ heard: HEARD, pcm: PCM })], seconds: 1 }, (input) => {
      try {
        expect(unpackHeard(input).pcm.length).toBeLessThanOrEqual(input.length);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    });
    expect(runs).toBeGreaterThan(100);
  });
});
