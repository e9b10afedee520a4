import { readFile } from 'node:fs/promises';
import type { ErrorCode, RenditionConfig } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { type DecodedSegment, decodeSegment } from '../../testing/decoded-segment.js';
import { withOrientation } from '../../testing/exif.js';
import { LoaderScene } from '../../testing/loader-scene.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 };
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
const AAC = ['-c:a', 'aac'];

/** Files as phones, browsers, editors and recorders make them: what becomes of them, decoded again. */
describe('SegmentLoader, with files as people have them,', () => {
  const clips = new Clips();
  let scene: LoaderScene;
  beforeAll(async () => {
    scene = await LoaderScene.start();
  });
  afterAll(async () => {
    await scene.stop();
    clips.remove();
  });

  interface Options {
    readonly audio?: string;
    readonly maxDurationSeconds?: number;
  }

  function load(path: string, { audio, ...options }: Options = {}): Promise<SegmentManifest> {
    const paths = audio === undefined ? [path] : [path, audio];
    return scene.load(paths, ([video = -1, sound]) => ({ video, audio: sound }), { renditions: [VP8], ...options });
  }

  async function decoded(path: string): Promise<DecodedSegment & { manifest: SegmentManifest }> {
    const manifest = await load(path);
    return { manifest, ...(await decodeSegment(scene.store, manifest)) };
  }

  async function refused(path: string, code: ErrorCode, options: Options = {}): Promise<Error> {
    const error: unknown = await load(path, options).then(
      (manifest) => new Error(`it was loaded: ${manifest.frames} frames`),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code });
    return error as Error;
  }

  const secondsOf = ({ durationSamples }: SegmentManifest) => durationSamples / 48_000;
  const sizeOf = ({ renditions: [first] }: SegmentManifest) => [first?.width, first?.height];

  describe('turned pictures', () => {
    /** Red above, blue on the left, white on the right, as it is to be seen. */
    const UPRIGHT = 'color=gray:s=160x80,drawbox=h=20:c=red:t=fill,drawbox=y=30:w=40:h=50:c=blue:t=fill';
    /** What has to be done to the upright picture so that each orientation stores it (EXIF 2.3 §4.6.4). */
    const STORED: readonly string[] = [
      'null',
      'hflip',
      'hflip,vflip',
      'vflip',
      'transpose=cclock_flip',
      'transpose=cclock',
      'transpose=clock_flip',
      'transpose=clock',
    ];

    it.each(STORED.map((stored, i) => [i + 1, stored] as const))(
      'EXIF orientation %i stands upright',
      async (n, how) => {
        const plain = await clips.make(`stored-${n}.jpg`, [
          '-f',
          'lavfi',
          '-i',
          `${UPRIGHT},${how}`,
          '-frames:v',
          '1',
          '-q:v',
          '2',
        ]);
        const path = await clips.altered(`exif-${n}.jpg`, plain, (bytes) => withOrientation(bytes, n));
        const manifest = await load(path);
        expect(sizeOf(manifest)).toEqual([160, 80]);
        const at = async (x: number, y: number) => (await decodeSegment(scene.store, manifest, 0, { x, y })).pixels[0];
        const [top, left, right] = [await at(0.5, 0.1), await at(0.1, 0.8), await at(0.9, 0.8)];
        expect(top?.v).toBeGreaterThan(200);
        expect(left?.u).toBeGreaterThan(200);
        expect(Math.abs((right?.u ?? 0) - 128)).toBeLessThan(12);
      },
    );

    it('a phone photo with a voice is 720×960, and a square one stays square', async () => {
      const voice = await clips.make('voice.wav', ['-f', 'lavfi', '-i', 'sine=d=1']);
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
        expect(sizeOf(await load(photo, { audio: voice }))).toEqual(shown);
      }
    });

    it.each([
      ['a display-orientation SEI in MP4', 'sei.mp4'],
      ['a display-orientation SEI in MPEG-TS', 'sei.ts'],
      ['a display-orientation SEI in Matroska', 'sei.mkv'],
    ])('%s turns the plan, too', async (_, name) => {
      const plain = await clips.test('landscape.mp4', { output: [...H264, '-an'], seconds: 1 });
      const path = await clips.make(name, [
        '-i',
        plain,
        '-c',
        'copy',
        '-bsf:v',
        'h264_metadata=display_orientation=insert:rotate=90',
      ]);
      expect(sizeOf(await load(path))).toEqual([120, 160]);
    });

    it.each([90, 180, 270])('a matrix of %i° in MOV turns the plan, too', async (degrees) => {
      const plain = await clips.test('landscape.mp4', { output: [...H264, '-an'], seconds: 1 });
      const path = await clips.altered(`matrix-${degrees}.mp4`, plain, (bytes) => withMatrix(bytes, degrees));
      expect(sizeOf(await load(path))).toEqual(degrees === 180 ? [160, 120] : [120, 160]);
    });
  });

  describe('frame rates', () => {
    const encode = async (name: string, filters: string, output: readonly string[], fps = '30', seconds = 3) =>
      clips.make(name, [
        '-f',
        'lavfi',
        '-i',
        `testsrc2=s=96x64:r=${fps}:d=${seconds}`,
        '-vf',
        filters,
        '-fps_mode',
        'passthrough',
        ...output,
      ]);
    const VP8_LIVE = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-live', '1'];

    it('of a recording with a clock of milliseconds and jitter is the frames’ own', async () => {
      const path = await encode('recorded.webm', "setpts='PTS+0.006*random(1)/TB'", VP8_LIVE);
      const manifest = await load(path);
      expect(manifest.fps).toEqual({ num: 30, den: 1 });
      expect(Math.abs(manifest.frames - 90)).toBeLessThanOrEqual(2);
    });

    it('of a recording in which nothing moved at first is that of the rest', async () => {
      const still = await encode('still-first.webm', "select='not(mod(n,30))+gt(n,120)'", VP8_LIVE, '30', 12);
      const manifest = await load(still);
      expect(manifest.fps).toEqual({ num: 30, den: 1 });
      expect(Math.abs(manifest.frames - 360)).toBeLessThanOrEqual(2);
    });

    it('of a canvas that never changes does not make it corrupt', async () => {
      const one = await encode('one-frame.webm', "select='eq(n,0)'", VP8_LIVE);
      expect((await load(one)).frames).toBeGreaterThanOrEqual(1);
      const few = await encode('few-frames.webm', "select='not(mod(n,60))'", VP8_LIVE, '30', 7);
      const manifest = await load(few);
      expect(manifest.frames / (manifest.fps.num / manifest.fps.den)).toBeGreaterThan(5.9);
    });

    it.each([
      [
        'a phone’s varying rate',
        'phone.mp4',
        "select='not(eq(mod(n,17),3))',setpts='PTS+0.003*random(1)/TB'",
        H264,
        30,
        90,
      ],
      ['1 fps slides', 'slides.mp4', "select='not(mod(n,30))'", H264, 10, 20],
      ['a GIF of 10 cs', 'ten.gif', 'fps=10', [], 10, 30],
      ['an APNG of 25 fps', 'anim.png', 'fps=25', ['-f', 'apng'], 25, 75],
    ] as const)('of %s is right', async (_, name, filters, output, fps, frames) => {
      const manifest = await load(await encode(name, filters, output));
      expect(manifest.fps).toEqual({ num: fps, den: 1 });
      expect(Math.abs(manifest.frames - frames)).toBeLessThanOrEqual(2);
    });

    it('of telecined film is the film’s', async () => {
      const path = await encode(
        'telecine.mkv',
        "settb=1/60000,setpts='floor(N/2)*5005+mod(N,2)*2002'",
        H264,
        '24000/1001',
      );
      expect((await load(path)).fps).toEqual({ num: 24_000, den: 1001 });
    });
  });

  describe('timestamps', () => {
    const part = (name: string, output: readonly string[] = [...H264, ...AAC]) => clips.flashBeep(name, { output });
    const joined = async (name: string, ...paths: string[]) =>
      clips.bytes(name, Buffer.concat(await Promise.all(paths.map((path) => readFile(path)))));

    it.each([
      ['joined MPEG-TS', 'part.ts', []],
      ['joined program streams', 'part.vob', ['-f', 'vob', '-c:v', 'mpeg2video', '-c:a', 'mp2']],
    ] as const)('of %s are mended: all of it plays, in sync', async (_, name, extra) => {
      const one = await part(name, extra.length > 0 ? extra : [...H264, ...AAC]);
      const { manifest, flashes, beeps } = await decoded(await joined(`joined-${name}`, one, one, one));
      expect(secondsOf(manifest)).toBeGreaterThan(8.9);
      expect(secondsOf(manifest)).toBeLessThan(9.4);
      expectTogether(flashes, beeps, 9, 60);
    });

    it('that go back before the first are mended as well', async () => {
      const late = await part('late.ts', [...H264, ...AAC, '-output_ts_offset', '500']);
      const { manifest, flashes, beeps } = await decoded(await joined('back.ts', late, await part('part.ts')));
      expect(secondsOf(manifest)).toBeGreaterThan(5.9);
      expectTogether(flashes, beeps, 6, 60);
    });

    it('with a hole of an hour in MPEG-TS are closed up, and too long in Matroska', async () => {
      const hour = await part('hour.ts', [...H264, ...AAC, '-output_ts_offset', '3600']);
      const path = await joined('hole.ts', await part('part.ts'), hour);
      const { manifest, flashes, beeps } = await decoded(path);
      expect(secondsOf(manifest)).toBeLessThan(6.4);
      expectTogether(flashes, beeps, 6, 60);
      const kept = await clips.make('hole.mkv', ['-copyts', '-i', path, '-c', 'copy']);
      await refused(kept, 'media_too_long', { maxDurationSeconds: 600 });
    });

    it.each([
      ['beyond 33 bits', '95440'],
      ['far from zero', '40000'],
      ['just before the wrap', '95442.2'],
    ])('that start %s keep everything', async (_, offset) => {
      const path = await part(`offset-${offset}.ts`, [...H264, ...AAC, '-output_ts_offset', offset]);
      const { manifest, flashes, beeps } = await decoded(path);
      expect(secondsOf(manifest)).toBeGreaterThan(2.9);
      expect(secondsOf(manifest)).toBeLessThan(3.2);
      expectTogether(flashes, beeps, 3, 2);
    });

    it('that are cut by an edit list, or negative, keep both tracks together', async () => {
      const source = await part('source.mp4', [...H264, '-g', '30', ...AAC]);
      const edited = await clips.make('edited.mp4', ['-ss', '0.5', '-i', source, '-c', 'copy']);
      const { flashes, beeps } = await decoded(edited);
      expectTogether(flashes.slice(-2), beeps.slice(-2), 2, 40);
      const negative = await clips.make('negative.mkv', [
        '-i',
        source,
        '-c',
        'copy',
        '-output_ts_offset',
        '-0.4',
        '-avoid_negative_ts',
        'disabled',
      ]);
      const result = await decoded(negative);
      expectTogether(result.flashes.slice(-2), result.beeps.slice(-2), 2, 40);
    });

    it.each([
      ['MP4', 'joined.mp4', 'part.mp4', [...H264, ...AAC]],
      ['Matroska', 'joined.mkv', 'part.mkv', [...H264, ...AAC]],
      ['FLV', 'joined.flv', 'part.flv', [...H264, ...AAC]],
      ['AVI', 'joined.avi', 'part.avi', ['-c:v', 'mpeg4', '-c:a', 'mp3']],
    ])('of joined %s, of which nobody reads the second file, are refused by name', async (_, name, source, output) => {
      const one = await part(source, output);
      await refused(await joined(name, one, one), 'media_joined');
    });

    it.each([
      ['GIF', 'part.gif', ['-an']],
      ['WMV', 'part.wmv', ['-c:v', 'wmv2', '-c:a', 'wmav2']],
      ['IVF', 'part.ivf', ['-an', '-c:v', 'libvpx', '-deadline', 'realtime']],
      [
        'WebM without lengths',
        'live.webm',
        ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libopus', '-live', '1'],
      ],
    ])('of joined %s are refused by name as well', async (_, source, output) => {
      const one = await clips.test(source, { seconds: 1, output });
      expect((await load(one)).frames).toBeGreaterThan(20);
      await refused(await joined(`joined-${source}`, one, one, one), 'media_joined');
    });

    it.each([
      ['Ogg', 'part.ogv', ['-c:v', 'libtheora', '-c:a', 'libvorbis']],
      ['NUT', 'part.nut', ['-c:v', 'mpeg4', '-c:a', 'mp2']],
    ])('of joined %s: all of it plays, or a refusal says what would be lost', async (_, source, output) => {
      const one = await clips.test(source, { seconds: 2, output });
      const outcome = await load(await joined(`joined-${source}`, one, one)).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toMatchObject({ status: 422 });
      else expect(secondsOf(outcome as SegmentManifest)).toBeGreaterThan(3.8);
    });

    it('of joined WAV are refused by name', async () => {
      const video = await clips.make('picture.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
      const one = await clips.make('one.wav', ['-f', 'lavfi', '-i', 'sine=d=1', '-fflags', '+bitexact']);
      await refused(video, 'media_joined', { audio: await joined('two.wav', one, one) });
    });

    it('that jump all the time are refused by name', async () => {
      const one = await clips.test('short.ts', { seconds: 1, fps: '10', output: [...H264, '-an'] });
      await refused(await joined('many.ts', ...Array.from({ length: 250 }, () => one)), 'media_timestamps');
    });
  });

  describe('headers that lie about length', () => {
    const flv = ['-c:v', 'flv1', '-an'];
    const lie = (seconds: number) => (bytes: Buffer) => {
      // onMetaData: the name, a type byte, an IEEE double.
      bytes.writeDoubleBE(seconds, bytes.indexOf('duration') + 'duration'.length + 1);
      return bytes;
    };

    it.each([3 * 3600, 0, 0.5])('FLV that states %d s is as long as it is', async (seconds) => {
      const whole = await clips.test('whole.flv', { output: flv });
      const path = await clips.altered(`states-${seconds}.flv`, whole, lie(seconds));
      expect(Math.abs((await load(path)).frames - 60)).toBeLessThanOrEqual(1);
    });

    it('FLV that ends within a tag lacks what its header states', async () => {
      const whole = await clips.test('whole.flv', { output: flv });
      await refused(
        await clips.altered('cut.flv', whole, (bytes) => bytes.subarray(0, bytes.length * 0.6)),
        'media_truncated',
      );
    });

    it.each([0, 0xffff_ffff, 0x7fff_ffff, 0xffff_ffff - 36])(
      'WAV of a stream whose length is %i plays whole',
      async (n) => {
        const picture = await clips.make('picture.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
        const whole = await clips.make('tone.wav', ['-f', 'lavfi', '-i', 'sine=d=2:r=24000', '-fflags', '+bitexact']);
        const path = await clips.altered(`stream-${n}.wav`, whole, (bytes) => {
          bytes.writeUInt32LE(n, 4);
          bytes.writeUInt32LE(n, bytes.indexOf('data') + 4);
          return bytes;
        });
        expect((await load(picture, { audio: path })).pcmSamples).toBe(48_000);
      },
    );

    it('WAV that is cut short is refused', async () => {
      const picture = await clips.make('picture.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
      const whole = await clips.make('tone.wav', ['-f', 'lavfi', '-i', 'sine=d=2:r=24000', '-fflags', '+bitexact']);
      const cut = await clips.altered('cut.wav', whole, (bytes) => bytes.subarray(0, bytes.length / 2));
      await refused(picture, 'media_truncated', { audio: cut });
    });

    it('WebM without a length, and Matroska with a wrong one, are as long as they are', async () => {
      const webm = await clips.test('no-length.webm', {
        output: ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libopus', '-live', '1'],
      });
      expect(Math.abs((await load(webm)).frames - 60)).toBeLessThanOrEqual(1);
      const whole = await clips.test('length.mkv', { output: [...H264, '-an'] });
      const path = await clips.altered('wrong-length.mkv', whole, (bytes) => {
        // Duration (RFC 9559 §5.1.2.10): its ID, a size of eight bytes, an IEEE double in milliseconds.
        bytes.writeDoubleBE(3 * 3_600_000, bytes.indexOf(Buffer.from([0x44, 0x89, 0x88])) + 3);
        return bytes;
      });
      expect(Math.abs((await load(path)).frames - 60)).toBeLessThanOrEqual(1);
    });

    it('what goes on for longer than is allowed is refused for what it holds', async () => {
      const whole = await clips.test('whole.flv', { output: flv });
      const path = await clips.altered('states-less.flv', whole, lie(0.1));
      await refused(path, 'media_too_long', { maxDurationSeconds: 1 });
    });
  });

  describe('streams', () => {
    const cover = ['-f', 'lavfi', '-i', 'color=green:s=320x320:r=25:d=0.04'];

    it.each([
      ['MJPEG', 'cover.mkv', 'mjpeg'],
      ['PNG', 'cover-png.mkv', 'png'],
      ['MJPEG in MP4', 'cover.mp4', 'mjpeg'],
      ['MJPEG in MOV', 'cover.mov', 'mjpeg'],
    ])('a cover (%s) that is the first and the default is not the picture', async (_, name, codec) => {
      const moving = await clips.test('moving.mp4');
      const path = await clips.make(name, [
        ...cover,
        '-i',
        moving,
        '-map',
        '0:v',
        '-map',
        '1:v',
        '-map',
        '1:a',
        '-c',
        'copy',
        '-c:v:0',
        codec,
        '-disposition:v:0',
        'default',
        '-disposition:v:1',
        '0',
      ]);
      const manifest = await load(path);
      expect(sizeOf(manifest)).toEqual([160, 120]);
      expect(Math.abs(manifest.frames - 60)).toBeLessThanOrEqual(1);
    });

    it.each([3, 10, 16])('%i channels without a layout are mixed down', async (channels) => {
      const path = await clips.make(`channels-${channels}.mov`, [
        '-f',
        'lavfi',
        '-i',
        'testsrc2=s=96x64:d=1',
        '-f',
        's16le',
        '-ar',
        '48000',
        '-ac',
        String(channels),
        '-t',
        '1',
        '-i',
        '/dev/urandom',
        ...H264,
        '-c:a',
        'pcm_s16le',
      ]);
      const { manifest, samples } = await decoded(path);
      expect(manifest.pcmSamples).toBe(24_000);
      expect(Math.max(...samples)).toBeGreaterThan(1000);
    });

    it('a sound of an unknown codec is passed over for one that is known, and named where it is the only one', async () => {
      const two = await clips.make('two-sounds.mov', [
        '-i',
        await clips.test('moving.mp4'),
        '-map',
        '0:v',
        '-map',
        '0:a',
        '-map',
        '0:a',
        '-c:v',
        'copy',
        '-c:a:0',
        'pcm_s16le',
        '-c:a:1',
        'aac',
      ]);
      const forget = (bytes: Buffer) => {
        const at = bytes.indexOf('sowt');
        bytes.write('zzzz', at, 'latin1');
        return bytes;
      };
      const { manifest, samples } = await decoded(await clips.altered('unknown-first.mov', two, forget));
      expect(manifest.pcmSamples).toBeGreaterThan(47_000);
      expect(Math.max(...samples)).toBeGreaterThan(1000);
      const one = await clips.make('one-sound.mov', [
        '-i',
        await clips.test('moving.mp4'),
        '-c:v',
        'copy',
        '-c:a',
        'pcm_s16le',
      ]);
      const error = await refused(await clips.altered('unknown.mov', one, forget), 'media_undecodable');
      expect(error.message).toContain('stream 1');
    });
  });

  function expectTogether(flashes: readonly number[], beeps: readonly number[], count: number, withinMs: number): void {
    expect(flashes).toHaveLength(count);
    expect(beeps).toHaveLength(count);
    for (const [i, flash] of flashes.entries()) {
      expect(Math.abs((beeps[i] ?? Number.NaN) - flash) * 1000).toBeLessThan(withinMs);
    }
  }
});

/** Writes a rotation into an MP4's first track header (ISO/IEC 14496-12 §8.3.2), version 0. */
function withMatrix(bytes: Buffer, degrees: number): Buffer {
  const matrix = bytes.indexOf('tkhd') + 4 + 40;
  const [cos, sin] = [Math.round(Math.cos((degrees * Math.PI) / 180)), Math.round(Math.sin((degrees * Math.PI) / 180))];
  [cos, sin, 0, -sin, cos, 0].forEach((value, i) => {
    bytes.writeInt32BE(value * 0x10000, matrix + 4 * i);
  });
  return bytes;
}
