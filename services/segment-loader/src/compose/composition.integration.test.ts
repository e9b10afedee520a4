import { compositionSchema, type RenditionConfig } from '@humancast/protocol';
import { PCM_RATE, type SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { type Pixel } from '../../testing/decoded-segment.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 2_000_000 };
const H264: RenditionConfig = { ...VP8, id: 'h264', codec: 'h264' };

/** BT.601, limited range, as viewers' decoders convert it. */
const RED: Pixel = { y: 81, u: 90, v: 240 };
const BLUE: Pixel = { y: 41, u: 240, v: 110 };
const WHITE: Pixel = { y: 235, u: 128, v: 128 };

/** Merges real files with ffmpeg into Redis, and checks the decoded result. */
describe('composition', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  function merge(composition: object, paths: Record<string, string>, renditions = [VP8]): Promise<SegmentManifest> {
    const parsed = compositionSchema.parse({ width: 320, height: 240, ...composition });
    const mediaOf = (descriptors: readonly number[]) => ({
      composition: parsed,
      inputs: new Map(Object.keys(paths).map((name, i) => [name, { video: descriptors[i] ?? -1, audio: undefined }])),
    });
    return fixture.load(Object.values(paths), mediaOf, { renditions });
  }

  const plain = (name: string, color: string, { seconds = 2, fps = 30, size = '160x120', alpha = '' } = {}) =>
    clips.make(name, [
      '-f',
      'lavfi',
      '-i',
      `color=c=${color}${alpha}:s=${size}:r=${fps}:d=${seconds}`,
      ...(name.endsWith('.png')
        ? ['-frames:v', '1']
        : ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p']),
    ]);

  const seen = async (manifest: SegmentManifest, x: number, y: number, rendition = 0) =>
    (await fixture.decode(manifest, rendition, { x, y })).pixels;

  function expectColor(pixel: Pixel | undefined, { y, u, v }: Pixel): void {
    const near = (value: number) => ({
      asymmetricMatch: (other: number) => Math.abs(other - value) <= 6,
      toString: () => `${value} ± 6`,
    });
    expect(pixel).toEqual({ y: near(y), u: near(u), v: near(v) });
  }

  it('places inputs of different rate, size and length side by side, and freezes one that ends', async () => {
    const paths = {
      left: await plain('red.mp4', 'red', { fps: 25, size: '160x240' }),
      right: await plain('blue.mp4', 'blue', { seconds: 1, fps: 30, size: '80x120' }),
    };
    const layers = [{ input: 'left' }, { input: 'right' }];
    const manifest = await merge({ layout: 'side-by-side', layers }, paths);
    expect(manifest).toMatchObject({ frames: 60, fps: { num: 30, den: 1 }, renditions: [{ width: 320, height: 240 }] });
    const [left, right] = [await seen(manifest, 0.25, 0.5), await seen(manifest, 0.75, 0.5)];
    for (const frame of [0, 29, 31, 59]) {
      expectColor(left[frame], RED);
      expectColor(right[frame], BLUE);
    }
  });

  it('shows the background where a layer is absent or does not reach', async () => {
    const paths = {
      face: await plain('face.mp4', 'red', { seconds: 1 }),
      studio: await plain('studio.mp4', 'white', { seconds: 2 }),
    };
    const box = { x: 80, y: 60, width: 160, height: 120 };
    const layers = [
      { input: 'studio', atEnd: 'disappear', box: { x: 0, y: 0, width: 320, height: 120 }, fit: 'cover' },
      { input: 'face', startMs: 500, atEnd: 'disappear', box },
    ];
    const manifest = await merge({ background: '#0000ff', layers }, paths);
    expect(manifest.frames).toBe(60);
    const [middle, below] = [await seen(manifest, 0.5, 0.4), await seen(manifest, 0.5, 0.9)];
    expectColor(middle[13], WHITE);
    expectColor(middle[16], RED);
    expectColor(middle[43], RED);
    expectColor(middle[46], WHITE);
    for (const frame of [0, 30, 59]) expectColor(below[frame], BLUE);
  });

  it('loops inputs for as long as the others last', async () => {
    const paths = { flash: await clips.flashBeep('flash.mp4'), long: await plain('long.mp4', 'black', { seconds: 5 }) };
    const layers = [{ input: 'long' }, { input: 'flash', atEnd: 'loop' }];
    const manifest = await merge(
      { layout: 'picture-in-picture', layers: layers.toReversed(), lengthOf: 'long' },
      paths,
    );
    expect(manifest.frames).toBe(150);
    const { flashes, beeps } = await fixture.decode(manifest);
    expect(flashes.map((time) => Math.round(time))).toEqual([0, 1, 2, 3, 4]);
    expect(beeps.map((time) => Math.round(time))).toEqual([0, 1, 2, 3, 4]);
  });

  it('keeps audio and video in sync to the sample if an input begins late', async () => {
    const paths = {
      talk: await clips.flashBeep('talk.mp4', { audioLateSeconds: 0.25 }),
      base: await plain('base.mp4', 'black', { seconds: 4 }),
    };
    const layers = [{ input: 'base' }, { input: 'talk', startMs: 500 }];
    const manifest = await merge({ layout: 'over-background', layers }, paths);
    const { flashes, beeps } = await fixture.decode(manifest);
    expect(flashes).toEqual([0.5, 1.5, 2.5]);
    expect(beeps).toHaveLength(2); // The first one is before the file's audio begins.
    for (const [i, beep] of beeps.entries()) expect(Math.abs(beep - (1.5 + i))).toBeLessThan(0.002);
  });

  it('keys a color out without changing the brightness or color beside it', async () => {
    const green = await clips.make('green.mp4', [
      '-f',
      'lavfi',
      '-i',
      'color=c=0x00ff00:s=320x240:r=30:d=1,drawbox=x=120:y=80:w=80:h=80:c=red:t=fill',
      '-c:v',
      'libx264',
      '-preset',
      'ultrafast',
      '-crf',
      '10',
      '-pix_fmt',
      'yuv420p',
    ]);
    const studio = await plain('studio.png', 'blue', { size: '64x48' });
    const layers = [{ input: 'studio' }, { input: 'face', key: { color: '#00ff00', similarity: 0.3, blend: 0 } }];
    const manifest = await merge({ layout: 'over-background', layers }, { studio, face: green }, [VP8, H264]);
    expect(manifest).toMatchObject({ frames: 30, pcmSamples: 0 });
    expectColor((await seen(manifest, 0.5, 0.5))[15], RED);
    expectColor((await seen(manifest, 0.1, 0.1))[15], BLUE);
    // The other rendition is BT.709.
    expectColor((await seen(manifest, 0.5, 0.5, 1))[15], { y: 63, u: 102, v: 240 });
    expectColor((await seen(manifest, 0.1, 0.1, 1))[15], { y: 32, u: 240, v: 118 });
  });

  it.each([
    ['png', ['-frames:v', '1']],
    ['webm', ['-c:v', 'libvpx-vp9', '-pix_fmt', 'yuva420p', '-auto-alt-ref', '0', '-b:v', '1M']],
    ['mov', ['-c:v', 'qtrle', '-pix_fmt', 'argb']],
  ])('overlays an image with an alpha channel on a background (%s)', async (kind, output) => {
    const face = await clips.make(`alpha.${kind}`, [
      '-f',
      'lavfi',
      '-i',
      'color=c=red:s=320x240:r=30:d=1,format=rgba,geq=r=255:g=0:b=0:a=255*lt(X\\,160)',
      ...output,
    ]);
    const studio = await plain('behind.mp4', 'blue', { seconds: 1 });
    const layers = [{ input: 'studio' }, { input: 'face' }];
    const manifest = await merge({ layout: 'over-background', layers }, { studio, face });
    expectColor((await seen(manifest, 0.25, 0.5))[15], RED);
    expectColor((await seen(manifest, 0.75, 0.5))[15], BLUE);
  });

  it('mixes audio by gain, and leaves out inputs that are not to be mixed', async () => {
    const tone = (name: string, hertz: number) =>
      clips.make(name, ['-f', 'lavfi', '-i', `aevalsrc=0.5*sin(2*PI*${hertz}*t):s=${PCM_RATE}:d=3`]);
    const paths = {
      a: await plain('a.mp4', 'black'),
      low: await tone('low.wav', 300),
      high: await tone('high.wav', 3000),
      out: await tone('out.wav', 1000),
    };
    const audio = [{ input: 'low' }, { input: 'high', gainDb: -12 }];
    const { out: _, ...heard } = paths;
    const manifest = await merge({ layout: 'grid', layers: [{ input: 'a' }], audio }, heard);
    expect(manifest.pcmSamples).toBe(2 * PCM_RATE);
    const { samples } = await fixture.decode(manifest);
    expect(amplitude(samples, 300)).toBeCloseTo(0.5, 2);
    expect(amplitude(samples, 3000)).toBeCloseTo(0.5 * 10 ** (-12 / 20), 2);
    expect(amplitude(samples, 1000)).toBeCloseTo(0, 2);
  });

  it('names the damaged input, and leaves nothing behind', async () => {
    const whole = await clips.test('whole.mp4', {
      output: ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-movflags', '+faststart'],
    });
    const cut = await clips.altered('cut.mp4', whole, (bytes) => bytes.subarray(0, bytes.length * 0.6));
    const layers = [{ input: 'good' }, { input: 'bad' }];
    const keysBefore = await fixture.keyCount();
    await expect(merge({ layout: 'grid', layers }, { good: whole, bad: cut })).rejects.toMatchObject({
      code: 'media_truncated',
      message: expect.stringMatching(/^input "bad": /) as string,
      extra: { input: 'bad' },
    });
    const text = await clips.bytes('text.mp4', 'this is no media file');
    await expect(merge({ layout: 'grid', layers }, { good: whole, bad: text })).rejects.toMatchObject({
      code: 'media_unreadable',
      extra: { input: 'bad' },
    });
    expect(await fixture.keyCount()).toBe(keysBefore);
  });
});

/** @returns The share of one frequency in the audio, 0 to 1 (a single bin of a Fourier transform). */
function amplitude(samples: Int16Array, hertz: number): number {
  let [re, im] = [0, 0];
  for (const [i, sample] of samples.entries()) {
    const angle = (2 * Math.PI * hertz * i) / PCM_RATE;
    re += sample * Math.cos(angle);
    im += sample * Math.sin(angle);
  }
  return (2 * Math.hypot(re, im)) / samples.length / 32_768;
}
