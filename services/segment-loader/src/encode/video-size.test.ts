import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { videoTrack } from '../../testing/tracks.js';
import { displaySize, renditionSize } from './video-size.js';

const hd = { maxWidth: 1280, maxHeight: 720 };

describe('displaySize()', () => {
  it('applies rotation', () => {
    for (const orientation of [5, 6, 7, 8] as const) {
      expect(displaySize(videoTrack({ width: 1920, height: 1080, orientation }))).toEqual({
        width: 1080,
        height: 1920,
      });
    }
    expect(displaySize(videoTrack({ width: 1920, height: 1080, orientation: 3 }))).toEqual({
      width: 1920,
      height: 1080,
    });
  });

  it('makes pixels square', () => {
    const dvd = videoTrack({ width: 720, height: 576, pixelAspect: { num: 64, den: 45 } });
    expect(displaySize(dvd)).toEqual({ width: 1024, height: 576 });
  });
});

describe('renditionSize()', () => {
  it('fits the whole video in proportion', () => {
    expect(renditionSize({ width: 1920, height: 1080 }, hd)).toEqual({ width: 1280, height: 720 });
    expect(renditionSize({ width: 1000, height: 1000 }, hd)).toEqual({ width: 720, height: 720 });
  });

  it("rotates the rendition's box with the video", () => {
    const portrait = { maxWidth: 720, maxHeight: 1280 };
    for (const box of [hd, portrait]) {
      expect(renditionSize({ width: 1080, height: 1920 }, box)).toEqual({ width: 720, height: 1280 });
      expect(renditionSize({ width: 1536, height: 2048 }, box)).toEqual({ width: 720, height: 960 });
      expect(renditionSize({ width: 1920, height: 1080 }, box)).toEqual({ width: 1280, height: 720 });
      expect(renditionSize({ width: 2048, height: 2048 }, box)).toEqual({ width: 720, height: 720 });
    }
  });

  it('never enlarges', () => {
    expect(renditionSize({ width: 320, height: 240 }, hd)).toEqual({ width: 320, height: 240 });
  });

  it('rounds odd sides to even ones', () => {
    expect(renditionSize({ width: 321, height: 241 }, hd)).toEqual({ width: 320, height: 240 });
  });

  it('rejects video that would be too small to encode', () => {
    expect(() => renditionSize({ width: 1, height: 1 }, hd)).toThrow(
      expect.objectContaining({ code: 'media_too_small' }),
    );
    expect(() => renditionSize({ width: 5000, height: 20 }, hd)).toThrow(
      expect.objectContaining({ code: 'media_too_small' }),
    );
  });

  it('returns even sizes within the limits for any video', () => {
    const side = fc.integer({ min: 16, max: 8000 });
    fc.assert(
      fc.property(side, side, side, side, (width, height, maxWidth, maxHeight) => {
        const wide = Math.max(width / height, height / width);
        fc.pre(Math.min(maxWidth, maxHeight, width, height) / wide >= 20);
        const size = renditionSize({ width, height }, { maxWidth, maxHeight });
        expect([size.width % 2, size.height % 2]).toEqual([0, 0]);
        const sides = [size.width, size.height].sort((a, b) => a - b) as [number, number];
        const box = [maxWidth, maxHeight].sort((a, b) => a - b) as [number, number];
        expect(sides[0]).toBeLessThanOrEqual(box[0]);
        expect(sides[1]).toBeLessThanOrEqual(box[1]);
        expect(size.width).toBeLessThanOrEqual(width + 1);
        expect(size.height).toBeLessThanOrEqual(height + 1);
        // Upright video stays upright.
        expect(Math.sign(size.height - size.width) * Math.sign(height - width)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
