import { readFile } from 'node:fs/promises';
import { compositionSchema, type RenditionConfig } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { H264 } from '../../testing/clips.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';
import { withProjection } from '../../testing/matroska.js';
import {
  hevcWithOrientation,
  pngWithOrientation,
  STORED_AS,
  webpWithOrientation,
  withMatrix,
  withOrientation,
} from '../../testing/orientation.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 };
/** The upright image: red at the top, blue on the left, gray on the right. */
const UPRIGHT = 'color=gray:s=160x80,drawbox=h=20:c=red:t=fill,drawbox=y=30:w=40:h=50:c=blue:t=fill';

/** Loads media that is stored rotated or mirrored and states so in any of the known ways. */
describe('a segment of rotated media', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  const load = (paths: readonly string[]) =>
    fixture.load(paths, ([video = -1, audio]) => ({ video, audio }), { renditions: [VP8] });
  const sizeOf = ({ renditions: [first] }: SegmentManifest) => [first?.width, first?.height];
  const make = (name: string, how: string, ...output: string[]) =>
    clips.make(name, ['-f', 'lavfi', '-i', `${UPRIGHT},${how}`, ...output]);

  async function expectUpright(manifest: SegmentManifest): Promise<void> {
    expect(sizeOf(manifest)).toEqual([160, 80]);
    const at = async (x: number, y: number) => (await fixture.decode(manifest, 0, { x, y })).pixels[0];
    const [top, left, right] = [await at(0.5, 0.1), await at(0.1, 0.8), await at(0.9, 0.8)];
    expect(top?.v).toBeGreaterThan(200);
    expect(left?.u).toBeGreaterThan(200);
    expect(Math.abs((right?.u ?? 0) - 128)).toBeLessThan(12);
  }

  const orientations = STORED_AS.map((how, i) => [i + 1, how] as const);

  it.each(orientations)('is upright for EXIF orientation %i in a JPEG', async (n, how) => {
    const plain = await make(`stored-${n}.jpg`, how, '-frames:v', '1', '-q:v', '2');
    await expectUpright(
      await load([await clips.altered(`exif-${n}.jpg`, plain, (bytes) => withOrientation(bytes, n))]),
    );
  });

  it.each(orientations)('is upright for EXIF orientation %i in a PNG', async (n, how) => {
    const plain = await make(`stored-${n}.png`, how, '-frames:v', '1');
    const path = await clips.altered(`exif-${n}.png`, plain, (bytes) => pngWithOrientation(bytes, n));
    await expectUpright(await load([path]));
  });

  it.each(orientations)('is upright for EXIF orientation %i in a WebP', async (n, how) => {
    const plain = await make(`stored-${n}.webp`, how, '-frames:v', '1');
    const size = n > 4 ? ([80, 160] as const) : ([160, 80] as const);
    const path = await clips.altered(`exif-${n}.webp`, plain, (bytes) => webpWithOrientation(bytes, n, size));
    await expectUpright(await load([path]));
  });

  it('is upright for the EXIF orientation of an animated PNG', async () => {
    const plain = await make('stored.apng', 'transpose=cclock', '-frames:v', '10', '-f', 'apng');
    const manifest = await load([await clips.altered('exif.apng', plain, (bytes) => pngWithOrientation(bytes, 6))]);
    expect(manifest.frames).toBe(10);
    await expectUpright(manifest);
  });

  it('is upright in a composition, where a layer is a PNG with an EXIF orientation', async () => {
    const png = await make('stored-6.png', 'transpose=cclock', '-frames:v', '1');
    const turned = await clips.altered('exif-6.png', png, (bytes) => pngWithOrientation(bytes, 6));
    const clock = await clips.make('clock.mp4', ['-f', 'lavfi', '-i', 'color=gray:s=160x80:d=0.4', ...H264]);
    const composition = compositionSchema.parse({
      width: 160,
      height: 80,
      lengthOf: 'clock',
      layers: ['clock', 'photo'].map((input) => ({ input, box: { x: 0, y: 0, width: 160, height: 80 } })),
    });
    const media = ([photo = -1, clockFile = -1]: readonly number[]) => ({
      composition,
      inputs: new Map([
        ['photo', { video: photo, audio: undefined }],
        ['clock', { video: clockFile, audio: undefined }],
      ]),
    });
    await expectUpright(await fixture.load([turned, clock], media, { renditions: [VP8] }));
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['no TIFF', Buffer.from('hello, world')],
    ['a directory beyond its end', Buffer.from('4d4d002a7fffffff', 'hex')],
    ['an orientation of 9', Buffer.from('4d4d002a00000008000101120003000000010009000000000000', 'hex')],
  ])('is as stored if the EXIF data of a PNG holds %s', async (_, data) => {
    const plain = await make('stored-1.png', 'null', '-frames:v', '1');
    const path = await clips.altered(`odd-${data.length}.png`, plain, (bytes) => pngWithOrientation(bytes, 1, data));
    await expectUpright(await load([path]));
  });

  it("has 720×960 for a phone's photo with audio, and a square size for a square photo", async () => {
    const audio = await clips.make('voice.wav', ['-f', 'lavfi', '-i', 'sine=d=1']);
    for (const [size, shown] of [
      ['1600x1200', [720, 960]],
      ['600x600', [600, 600]],
    ] as const) {
      const plain = await clips.make(`plain-${size}.jpg`, [
        '-f',
        'lavfi',
        '-i',
        `color=gray:s=${size}`,
        '-frames:v',
        '1',
      ]);
      const photo = await clips.altered(`photo-${size}.jpg`, plain, (bytes) => withOrientation(bytes, 6));
      expect(sizeOf(await load([photo, audio]))).toEqual(shown);
    }
  });

  it.each(['sei.mp4', 'sei.ts', 'sei.mkv', 'sei.avi', 'sei.flv'])(
    'is upright in all frames for a display-orientation SEI of H.264 in %s',
    async (name) => {
      // Only keyframes have the SEI.
      const plain = await make('plain.ts', 'transpose=cclock', '-t', '1', ...H264, '-g', '10');
      const sei = ['-bsf:v', 'h264_metadata=display_orientation=insert:rotate=-90'];
      const marked = await clips.make('marked.ts', ['-i', plain, '-c', 'copy', ...sei]);
      const manifest = await load([await clips.make(name, ['-i', marked, '-c', 'copy'])]);
      expect(manifest.frames).toBe(25);
      await expectUpright(manifest);
    },
  );

  it('keeps video and audio of joined MPEG-TS with display-orientation SEI in sync', async () => {
    const plain = await clips.flashBeep('plain-beep.ts', { output: [...H264, '-g', '10', '-c:a', 'aac'] });
    const sei = ['-bsf:v', 'h264_metadata=display_orientation=insert:rotate=-90'];
    const one = await readFile(await clips.make('marked-beep.ts', ['-i', plain, '-c', 'copy', ...sei]));
    const manifest = await load([await clips.bytes('joined-beep.ts', Buffer.concat([one, one]))]);
    expect(sizeOf(manifest)).toEqual([120, 160]);
    const { flashes, beeps } = await fixture.decode(manifest);
    expect(flashes).toHaveLength(6);
    expect(beeps).toHaveLength(6);
    for (const [i, flash] of flashes.entries()) expect(Math.abs((beeps[i] ?? 0) - flash)).toBeLessThan(0.06);
  });

  it.each([
    ['hevc.mp4', 'transpose=clock', 1, false],
    ['hevc.ts', 'transpose=cclock', 3, false],
    ['hevc.mkv', 'hflip,vflip', 2, false],
    ['hevc-flip.mp4', 'hflip', 0, true],
  ] as const)('is upright for a display-orientation SEI of HEVC in %s', async (name, how, quarters, isFlipped) => {
    const params = 'log-level=none:bframes=0:keyint=10';
    const output = ['-t', '0.8', '-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', params, '-f', 'hevc'];
    const plain = await make(`plain-${name}.h265`, how, ...output);
    const marked = await clips.altered(`marked-${name}.h265`, plain, (bytes) =>
      hevcWithOrientation(bytes, quarters, isFlipped),
    );
    const input = ['-fflags', '+genpts', '-r', '25', '-i', marked];
    const manifest = await load([await clips.make(name, [...input, '-c', 'copy'])]);
    expect(manifest.frames).toBe(20);
    await expectUpright(manifest);
  });

  it.each([
    ['90°', 'transpose=cclock', [0, 1, -1, 0]],
    ['180°', 'hflip,vflip', [-1, 0, 0, -1]],
    ['270°', 'transpose=clock', [0, -1, 1, 0]],
    ['a horizontal mirror', 'hflip', [-1, 0, 0, 1]],
    ['a vertical mirror', 'vflip', [1, 0, 0, -1]],
    ['90°, mirrored', 'transpose=cclock_flip', [0, 1, 1, 0]],
    ['270°, mirrored', 'transpose=clock_flip', [0, -1, -1, 0]],
  ] as const)('is upright for a matrix of %s in MOV', async (name, how, matrix) => {
    const plain = await make(`stored ${name}.mov`, how, '-t', '0.5', ...H264);
    await expectUpright(await load([await clips.altered(`${name}.mov`, plain, (bytes) => withMatrix(bytes, matrix))]));
  });

  it('is upright from its first frame on, and in sync, for a matrix of 90° in an MP4 with an edit list', async () => {
    const cut = (source: string, name: string, at: string) => clips.make(name, ['-ss', at, '-i', source, '-c', 'copy']);
    const turn = (source: string, name: string) =>
      clips.altered(name, source, (bytes) => withMatrix(bytes, [0, 1, -1, 0]));
    // The edit list cuts the green frames, which start at the last keyframe.
    const green = "transpose=cclock,drawbox=c=lime:t=fill:enable='lt(t,1.1)'";
    const late = await make('late.mp4', green, '-t', '2', ...H264, '-g', '25');
    const manifest = await load([await turn(await cut(late, 'late-cut.mp4', '1.12'), 'late-turned.mp4')]);
    expect(manifest.frames).toBe(22);
    await expectUpright(manifest);

    const beeps = await clips.flashBeep('beeps.mp4', { output: [...H264, '-g', '60', '-c:a', 'aac'] });
    const synced = await load([await turn(await cut(beeps, 'beeps-cut.mp4', '0.5'), 'beeps-turned.mp4')]);
    expect(sizeOf(synced)).toEqual([120, 160]);
    const decoded = await fixture.decode(synced);
    expect(decoded.flashes).toEqual([0.5, 1.5]);
    expect(decoded.beeps).toHaveLength(2);
    for (const [i, beep] of decoded.beeps.entries()) expect(Math.abs(beep - 0.5 - i)).toBeLessThan(0.005);
  });

  it.each([
    ['a roll of 90°', 'transpose=clock', 90, 0],
    ['a roll of −90°', 'transpose=cclock', -90, 0],
    ['a roll of 180°', 'hflip,vflip', 180, 0],
    ['a yaw of 180°', 'hflip', 0, 180],
    ['a yaw of 180° and a roll of 90°', 'transpose=clock,hflip', 90, 180],
  ] as const)('is upright for %s in Matroska', async (name, how, roll, yaw) => {
    const plain = await make(`plain ${name}.mkv`, how, '-t', '0.5', ...H264, '-live', '1');
    await expectUpright(
      await load([await clips.altered(`${name}.mkv`, plain, (bytes) => withProjection(bytes, roll, yaw))]),
    );
  });
});
