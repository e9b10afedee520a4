import { describe, expect, it } from 'vitest';
import { audioTrack, videoTrack } from '../../testing/tracks.js';
import { planEncode, segmentZero } from './encode-plan.js';

const fps = { num: 30, den: 1 };
const settings = {
  renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 500_000 }],
  gopMs: 1000,
  fps: undefined,
} as const;

describe('segmentZero()', () => {
  const zero = (videoStart: number, audioStart: number) =>
    segmentZero(videoTrack({ startSeconds: videoStart }), audioTrack({ startSeconds: audioStart }), fps);

  it('is the first frame if audio starts with it or later', () => {
    expect(zero(1.4, 1.4)).toBe(1.4);
    expect(zero(0, 0.2)).toBe(0);
  });

  it('is the first frame if audio starts less than a frame earlier, as with priming', () => {
    expect(zero(0.007, -0.007)).toBe(0.007);
    expect(zero(1.421333, 1.4)).toBe(1.421333);
  });

  it('is earlier by whole frames if audio starts earlier, so that no frame moves on the grid', () => {
    expect(zero(0.5, 0)).toBeCloseTo(0, 9);
    expect(zero(0.11, 0)).toBeCloseTo(0.01, 9);
  });
});

describe('planEncode()', () => {
  it("prefers the avatar's rate over the file's", () => {
    expect(planEncode(videoTrack(), undefined, settings).fps).toEqual({ num: 30, den: 1 });
    const plan = planEncode(videoTrack(), undefined, { ...settings, fps: { num: 25, den: 1 } });
    expect(plan).toMatchObject({ fps: { num: 25, den: 1 }, gopFrames: 25 });
  });

  it('doubles the even height of what is seen for a matte below it', () => {
    const [rendition] = planEncode(videoTrack({ width: 320, height: 182 }), undefined, {
      ...settings,
      alpha: 'stack',
    }).renditions;
    expect(rendition).toMatchObject({ alpha: 'stack', width: 320, height: 364 });
  });

  it('ignores the start of separate audio for video', () => {
    const audio = { track: audioTrack({ startSeconds: 0 }), separate: true };
    expect(planEncode(videoTrack({ startSeconds: 3 }), audio, settings).zeroSeconds).toBe(3);
  });
});
