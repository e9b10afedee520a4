import { describe, expect, it } from 'vitest';
import { h264LevelFor } from './h264-level.js';

describe('h264LevelFor()', () => {
  const picture = (width: number, height: number, fps: number, bitrateBps = 1_500_000) => ({
    width,
    height,
    fps,
    bitrateBps,
  });

  it.each([
    [31, picture(16, 16, 5)],
    [31, picture(1280, 720, 30)],
    [31, picture(720, 1280, 30)],
    [32, picture(1280, 720, 60)],
    [32, picture(1280, 720, 30, 14_000_001)],
    [40, picture(1920, 1080, 30)],
    [42, picture(1920, 1080, 60)],
    [50, picture(3840, 1440, 25)],
    [51, picture(3840, 2160, 30)],
    [52, picture(3840, 2160, 60)],
    [52, picture(3840, 3840, 60)],
    // Few pixels, but wider than level 3.1 allows.
    [40, picture(3840, 16, 5)],
  ])('returns %d for %o, the lowest level that allows it', (level, limits) => {
    expect(h264LevelFor([limits])).toBe(level);
  });

  it('returns the level of the largest of several renditions, and 3.1 for none', () => {
    expect(h264LevelFor([picture(1920, 1080, 30), picture(640, 360, 30)])).toBe(40);
    expect(h264LevelFor([])).toBe(31);
  });
});
