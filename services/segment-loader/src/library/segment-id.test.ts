import { idSchema } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { mediaFile } from '../../testing/media-file.js';
import { segmentIdOf } from './segment-id.js';

const settings = {
  renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 1_500_000 }],
  gopMs: 1000,
  fps: undefined,
} as const;
const file = mediaFile();

describe('segmentIdOf()', () => {
  it('returns the same valid ID for the same file, wherever the media folder is', () => {
    expect(idSchema.safeParse(segmentIdOf(file, settings)).success).toBe(true);
    expect(segmentIdOf({ ...file, path: '/elsewhere/clip.mp4', changedMs: 5 }, settings)).toBe(
      segmentIdOf(file, settings),
    );
  });

  it('changes with the file, its place, and its encoding', () => {
    const ids = [
      segmentIdOf(file, settings),
      ...[
        { avatar: 'other' },
        { role: 'speech' as const },
        { name: 'b.mp4' },
        { sizeBytes: 1001 },
        { modifiedMs: 1_000_001 },
      ].map((change) => segmentIdOf({ ...file, ...change }, settings)),
      segmentIdOf(file, { ...settings, gopMs: 500 }),
      segmentIdOf(file, { ...settings, alpha: 'stack' }),
      segmentIdOf(file, { ...settings, loudness: -16 }),
      segmentIdOf(file, { ...settings, loudness: -23 }),
      segmentIdOf(file, { ...settings, fps: { num: 25, den: 1 } }),
      segmentIdOf(file, { ...settings, renditions: [{ ...settings.renditions[0], bitrateBps: 1_000_000 }] }),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});
