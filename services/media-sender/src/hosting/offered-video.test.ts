import type { Avatar, Rendition } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { offeredVideo } from './offered-video.js';

describe('offeredVideo()', () => {
  const avatar = (more: Partial<Avatar> = {}): Avatar => ({ id: 'ann', cutPolicy: 'now', ...more });
  const rendition = (codec: 'vp8' | 'h264', width: number, height: number): Rendition => ({
    id: `${codec}-${height}`,
    codec,
    width,
    height,
    bitrateBps: 1_500_000,
    bytes: 1,
  });
  const idle = (...renditions: Rendition[]) => ({ renditions }) as unknown as SegmentManifest;

  it('lists each codec of the idle clip once, in order, and VP8 if there is no clip', () => {
    const clip = idle(rendition('h264', 640, 360), rendition('vp8', 640, 360), rendition('h264', 320, 180));
    expect(offeredVideo(avatar(), clip).codecs).toEqual(['h264', 'vp8']);
    expect(offeredVideo(avatar(), undefined)).toEqual({ codecs: ['vp8'], h264Level: 31 });
  });

  it('names the H.264 level of the largest rendition at the highest frame rate', () => {
    const clip = idle(rendition('vp8', 3840, 2160), rendition('h264', 1280, 720));
    expect(offeredVideo(avatar({ fps: { num: 30_000, den: 1001 } }), clip).h264Level).toBe(31);
    expect(offeredVideo(avatar(), clip).h264Level).toBe(32);
    const renditions = [{ id: 'hd', codec: 'h264', maxWidth: 1920, maxHeight: 1080, bitrateBps: 4_000_000 } as const];
    expect(offeredVideo(avatar({ fps: { num: 25, den: 1 }, renditions }), clip).h264Level).toBe(40);
  });
});
