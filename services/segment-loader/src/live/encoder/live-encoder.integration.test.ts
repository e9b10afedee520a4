import { describe, expect, it } from 'vitest';
import { LiveEncoder, type LiveFrame } from './live-encoder.js';

const SIZE = { width: 128, height: 96 };
const GOP = 10;
const FPS = { num: 10, den: 1 };
const FRAME_MS = 100;

describe('LiveEncoder', () => {
  it('leaves out renditions for whole GOPs while it is too slow, and begins again with a keyframe', () => {
    const renditions = [160_000, 320_000, 80_000].map((bitrateBps, i) => {
      const size = [64, 128, 32][i] ?? 32;
      return { codec: 'vp8' as const, width: size, height: size, bitrateBps };
    });
    const frames: LiveFrame[] = [];
    const counts: number[] = [];
    let nowMs = 0;
    let slow = 1;
    const encoder = new LiveEncoder(
      { ...SIZE, pixelFormat: 'bgr24', fps: FPS, gopFrames: GOP, renditions },
      {
        onFrame: (frame) => {
          frames.push(frame);
          nowMs += slow * FRAME_MS * ([0.25, 0.6, 0.15][frame.rendition] ?? 0);
        },
        onRenditions: (count) => counts.push(count),
        nowMs: () => nowMs,
      },
    );
    const play = (count: number) => {
      for (let i = 0; i < count; i++) {
        encoder.encode(Buffer.alloc(SIZE.width * SIZE.height * 3, i));
        nowMs += FRAME_MS / 2;
      }
    };
    play(10);
    slow = 8;
    play(60);
    slow = 0.3;
    encoder.repeat(5);
    play(400);
    const numbersOf = (rendition: number) =>
      frames.filter((each) => each.rendition === rendition).map((each) => each.number);
    // The smallest has every frame, and is the last of each.
    expect(numbersOf(2)).toEqual(Array.from({ length: 475 }, (_, i) => i));
    for (let i = 1; i < frames.length; i++) {
      if (frames[i - 1]?.rendition !== 2) expect(frames[i]?.number).toBe(frames[i - 1]?.number);
    }
    for (const rendition of [0, 1]) {
      const numbers = new Set(numbersOf(rendition));
      const gops = Array.from({ length: 47 }, (_, gop) =>
        Array.from({ length: GOP }, (_, i) => numbers.has(gop * GOP + i)),
      );
      expect(gops.every((gop) => gop.every(Boolean) || !gop.some(Boolean))).toBe(true);
      expect([gops[0]?.[0], gops[5]?.[0], gops[46]?.[0]]).toEqual([true, false, true]);
    }
    expect(frames.filter(({ keyframe }) => keyframe).every(({ number }) => number % GOP === 0)).toBe(true);
    expect(frames.filter(({ number }) => number % GOP === 0).every(({ keyframe }) => keyframe)).toBe(true);
    expect(counts.at(-1)).toBe(3);
    expect(Math.min(...counts)).toBe(1);
  });
});
