import { join } from 'node:path';
import { compositionSchema, type RenditionConfig } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { makeTransparentClip, transparentFrame } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { BT601, BT709, type Coding, coded } from '../../testing/colors.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

/** Not a multiple of a macroblock's 16 lines, so that one is in both halves. */
const SIZE = { width: 320, height: 180 };
const RENDITIONS: readonly RenditionConfig[] = [
  { id: 'vp8', codec: 'vp8', maxWidth: 320, maxHeight: 180, bitrateBps: 3_000_000 },
  { id: 'vp8-small', codec: 'vp8', maxWidth: 160, maxHeight: 90, bitrateBps: 1_500_000 },
  { id: 'h264', codec: 'h264', maxWidth: 320, maxHeight: 180, bitrateBps: 3_000_000 },
];
const SHOWN: Readonly<Record<string, Coding>> = {
  vp8: { ...BT601, isFull: false, bits: 8 },
  h264: { ...BT709, isFull: false, bits: 8 },
};

/** Share of full opacity, or of white. */
interface Errors {
  readonly mean: number;
  readonly max: number;
}

describe('a transparent segment', () => {
  const fixture = useLoaderFixture();

  const load = (path: string, renditions = RENDITIONS) =>
    fixture.load([path], ([video]) => ({ video: video as number, audio: undefined }), { renditions, alpha: 'stack' });

  /** Compares the last frame of a rendition of the source's size with the source. */
  async function errorsOf(manifest: SegmentManifest, index: number): Promise<{ alpha: Errors; luma: Errors }> {
    const frame = (await fixture.frames(manifest, index)).at(-1);
    const { width, height } = SIZE;
    const coding = SHOWN[manifest.renditions[index]?.codec ?? ''];
    if (!frame || !coding) throw new Error('nothing was decoded');
    const source = transparentFrame(SIZE);
    const alpha: number[] = [];
    const luma: number[] = [];
    for (let i = 0; i < width * height; i++) {
      const [red = 0, green = 0, blue = 0, opacity = 0] = source.subarray(4 * i, 4 * i + 4);
      alpha.push(Math.abs((frame.readUInt8(width * height + i) - 16) / 219 - opacity / 255));
      const share = (value: number) => (value * opacity) / 255 / 255;
      const right = coded([share(red), share(green), share(blue)], coding);
      luma.push(Math.abs(frame.readUInt8(i) - right.y) / 219);
    }
    return { alpha: statisticsOf(alpha), luma: statisticsOf(luma) };
  }

  it.each([
    ['QuickTime animation', 'a.mov', 0.1],
    ['VP9 with alpha', 'a.webm', 0.2],
    ['VP8 with alpha', 'a.mkv', 0.2],
    ['ProRes 4444', 'a.prores.mov', 0.1],
    ['PNG', 'a.png', 0.1],
  ])('has the matte and the colors of its source in every codec (%s)', async (_, name, max) => {
    const path = join(fixture.clips.folder, name);
    makeTransparentClip(path, { ...SIZE, seconds: 1 });
    const manifest = await load(path);
    const sizes = manifest.renditions.map(({ alpha, width, height }) => [alpha, width, height]);
    expect(sizes).toEqual([
      ['stack', 320, 360],
      ['stack', 320, 360],
      ['stack', 160, 180],
    ]);
    for (const index of [0, 1]) {
      const { alpha, luma } = await errorsOf(manifest, index);
      expect(alpha.mean).toBeLessThan(0.006);
      expect(alpha.max).toBeLessThan(max);
      expect(luma.mean).toBeLessThan(0.012);
      expect(luma.max).toBeLessThan(max);
    }
  });

  it('has the hard edge of a GIF', async () => {
    const path = join(fixture.clips.folder, 'a.gif');
    makeTransparentClip(path, { ...SIZE, seconds: 1 });
    const frame = (await fixture.frames(await load(path), 0)).at(-1) as Buffer;
    const matte = frame.subarray(SIZE.width * SIZE.height, 2 * SIZE.width * SIZE.height);
    const middle = (SIZE.height / 2) * SIZE.width;
    expect(matte[middle + 2]).toBeLessThan(20);
    expect(matte[middle + SIZE.width / 2]).toBeGreaterThan(230);
  });

  it('is opaque everywhere if its source has no alpha, and no half shows in the other', async () => {
    const path = await fixture.clips.make('plain.mp4', [
      ...['-f', 'lavfi', '-i', 'color=c=0x2060c0:s=320x180:r=25:d=1'],
      ...['-c:v', 'libx264', '-pix_fmt', 'yuv420p'],
    ]);
    const manifest = await load(path);
    for (const [index, { width, height }] of manifest.renditions.entries()) {
      const frame = (await fixture.frames(manifest, index)).at(-1) as Buffer;
      const [color, matte] = [0, 1].map((half) =>
        frame.subarray((half * width * height) / 2, ((half + 1) * width * height) / 2),
      );
      expect(Math.min(...(matte as Buffer))).toBeGreaterThan(228);
      expect(Math.max(...(color as Buffer)) - Math.min(...(color as Buffer))).toBeLessThan(8);
    }
  });

  it('is what a color key of a composition leaves, over nothing', async () => {
    const path = await fixture.clips.make('keyed.mov', [
      ...['-f', 'lavfi', '-i', 'color=c=0x00ff00:s=320x180:r=25:d=1,drawbox=x=100:y=60:w=120:h=60:c=0xc08060:t=fill'],
      ...['-c:v', 'qtrle', '-pix_fmt', 'rgb24'],
    ]);
    const composition = compositionSchema.parse({
      width: 320,
      height: 180,
      background: '#ff0000',
      layers: [{ input: 'main', box: { x: 0, y: 0, width: 320, height: 180 }, key: { color: '#00ff00' } }],
    });
    const manifest = await fixture.load(
      [path],
      ([video]) => ({ composition, inputs: new Map([['main', { video: video as number, audio: undefined }]]) }),
      { renditions: RENDITIONS, alpha: 'stack' },
    );
    const frame = (await fixture.frames(manifest, 0)).at(-1) as Buffer;
    const at = (x: number, y: number, half: number) => frame[(y + half * 180) * 320 + x] ?? 0;
    expect(at(20, 20, 1)).toBeLessThan(20);
    expect(at(20, 20, 0)).toBeLessThan(20);
    expect(at(160, 90, 1)).toBeGreaterThan(230);
    expect(
      Math.abs(at(160, 90, 0) - coded([0xc0 / 255, 0x80 / 255, 0x60 / 255], SHOWN['vp8'] as Coding).y),
    ).toBeLessThan(4);
  });
});

function statisticsOf(errors: readonly number[]): Errors {
  return {
    mean: errors.reduce((sum, error) => sum + error, 0) / errors.length,
    max: errors.reduce((a, b) => Math.max(a, b)),
  };
}
