import { readFile } from 'node:fs/promises';
import type { ErrorCode, RenditionConfig } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { H264 } from '../../testing/clips.js';
import { type DecodedSegment } from '../../testing/decoded-segment.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 };
const AAC = ['-c:a', 'aac'];

/** Loads files as phones, browsers, editors and recorders make them, and decodes the segments. */
describe('SegmentLoader with real-world files', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  interface Options {
    readonly audio?: string;
    readonly maxDurationSeconds?: number;
  }

  function load(path: string, { audio, ...options }: Options = {}): Promise<SegmentManifest> {
    const paths = audio === undefined ? [path] : [path, audio];
    return fixture.load(paths, ([video = -1, audio]) => ({ video, audio }), { renditions: [VP8], ...options });
  }

  async function decoded(path: string): Promise<DecodedSegment & { manifest: SegmentManifest }> {
    const manifest = await load(path);
    return { manifest, ...(await fixture.decode(manifest)) };
  }

  async function rejected(path: string, code: ErrorCode, options: Options = {}): Promise<Error> {
    const error: unknown = await load(path, options).then(
      (manifest) => new Error(`it was loaded: ${manifest.frames} frames`),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code });
    return error as Error;
  }

  const secondsOf = ({ durationSamples }: SegmentManifest) => durationSamples / 48_000;
  const sizeOf = ({ renditions: [first] }: SegmentManifest) => [first?.width, first?.height];

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

    it('of a recording with millisecond timestamps and jitter is that of its frames', async () => {
      const path = await encode('recorded.webm', "setpts='PTS+0.006*random(1)/TB'", VP8_LIVE);
      const manifest = await load(path);
      expect(manifest.fps).toEqual({ num: 30, den: 1 });
      expect(Math.abs(manifest.frames - 90)).toBeLessThanOrEqual(2);
    });

    it('of a recording that is still at first is that of the rest', async () => {
      const still = await encode('still-first.webm', "select='not(mod(n,30))+gt(n,120)'", VP8_LIVE, '30', 12);
      const manifest = await load(still);
      expect(manifest.fps).toEqual({ num: 30, den: 1 });
      expect(Math.abs(manifest.frames - 360)).toBeLessThanOrEqual(2);
    });

    it('of a canvas that never changes does not make the file corrupt', async () => {
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

    it.each([
      ['AVI', 'rate.avi', ['-c:v', 'mpeg4'], '25', { num: 25, den: 1 }],
      ['WMV', 'rate.wmv', ['-c:v', 'wmv2'], '24', { num: 24, den: 1 }],
      ['3GP', 'rate.3gp', H264, '15', { num: 15, den: 1 }],
      ['MXF', 'rate.mxf', ['-c:v', 'mpeg2video'], '30000/1001', { num: 30_000, den: 1001 }],
    ] as const)('of %s is exactly the stated one', async (_, name, output, fps, right) => {
      const manifest = await load(await encode(name, 'null', output, fps));
      expect(manifest.fps).toEqual(right);
      expect(Math.abs(manifest.frames - (3 * right.num) / right.den)).toBeLessThanOrEqual(2);
    });

    it.each(['soft.vob', 'soft.ts', 'soft.mkv'])("of film with soft telecine in %s is the film's", async (name) => {
      const output = ['-c:v', 'mpeg2video', '-bf', '0', '-q:v', '3'];
      const film = await encode('film.m2v', 'scale=160:128', output, '24000/1001');
      const flagged = await clips.altered('flagged.m2v', film, withPulldown);
      const manifest = await load(await clips.make(name, ['-fflags', '+genpts', '-i', flagged, '-c', 'copy']));
      expect(manifest.fps).toEqual({ num: 24_000, den: 1001 });
      expect(Math.abs(manifest.frames - 72)).toBeLessThanOrEqual(2);
    });

    it("of film with hard telecine is the film's", async () => {
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
    ] as const)('of %s are corrected: all parts play in sync', async (_, name, extra) => {
      const one = await part(name, extra.length > 0 ? extra : [...H264, ...AAC]);
      const { manifest, flashes, beeps } = await decoded(await joined(`joined-${name}`, one, one, one));
      expect(secondsOf(manifest)).toBeGreaterThan(8.9);
      expect(secondsOf(manifest)).toBeLessThan(9.4);
      expectTogether(flashes, beeps, 9, 60);
    });

    it('that step back before the first one are corrected', async () => {
      const late = await part('late.ts', [...H264, ...AAC, '-output_ts_offset', '500']);
      const { manifest, flashes, beeps } = await decoded(await joined('back.ts', late, await part('part.ts')));
      expect(secondsOf(manifest)).toBeGreaterThan(5.9);
      expectTogether(flashes, beeps, 6, 60);
    });

    it('with a gap of an hour are closed up in MPEG-TS and rejected as too long in Matroska', async () => {
      const hour = await part('hour.ts', [...H264, ...AAC, '-output_ts_offset', '3600']);
      const path = await joined('hole.ts', await part('part.ts'), hour);
      const { manifest, flashes, beeps } = await decoded(path);
      expect(secondsOf(manifest)).toBeLessThan(6.4);
      expectTogether(flashes, beeps, 6, 60);
      const kept = await clips.make('hole.mkv', ['-copyts', '-i', path, '-c', 'copy']);
      await rejected(kept, 'media_too_long', { maxDurationSeconds: 600 });
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

    it('that are negative or cut by an edit list keep both tracks in sync', async () => {
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
    ])(
      'of joined %s, whose second file no demuxer reads, are rejected with media_joined',
      async (_, name, source, output) => {
        const one = await part(source, output);
        await rejected(await joined(name, one, one), 'media_joined');
      },
    );

    it.each([
      ['GIF', 'part.gif', ['-an']],
      ['WMV', 'part.wmv', ['-c:v', 'wmv2', '-c:a', 'wmav2']],
      ['IVF', 'part.ivf', ['-an', '-c:v', 'libvpx', '-deadline', 'realtime']],
      [
        'WebM without lengths',
        'live.webm',
        ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libopus', '-live', '1'],
      ],
    ])('of joined %s are rejected with media_joined', async (_, source, output) => {
      const one = await clips.test(source, { seconds: 1, output });
      expect((await load(one)).frames).toBeGreaterThan(20);
      await rejected(await joined(`joined-${source}`, one, one, one), 'media_joined');
    });

    it.each([
      ['Ogg', 'part.ogv', ['-c:v', 'libtheora', '-c:a', 'libvorbis']],
      ['NUT', 'part.nut', ['-c:v', 'mpeg4', '-c:a', 'mp2']],
      ['MXF', 'part.mxf', ['-c:v', 'mpeg2video', '-c:a', 'pcm_s16le']],
    ])('of joined %s play whole or are rejected', async (_, source, output) => {
      const one = await clips.test(source, { seconds: 2, output });
      const outcome = await load(await joined(`joined-${source}`, one, one)).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toMatchObject({ status: 422 });
      else expect(secondsOf(outcome as SegmentManifest)).toBeGreaterThan(3.8);
    });

    it.each(['one.wav', 'one.aiff', 'one.caf', 'one.flac'])(
      'of joined audio like %s are rejected with media_joined',
      async (name) => {
        const video = await clips.make('image.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
        const one = await clips.make(name, ['-f', 'lavfi', '-i', 'sine=d=1', '-fflags', '+bitexact']);
        expect((await load(video, { audio: one })).pcmSamples).toBeGreaterThan(23_900);
        await rejected(video, 'media_joined', { audio: await joined(`two-${name}`, one, one) });
      },
    );

    it.each([
      ['one.mp3', ['-write_xing', '0']],
      ['one.aac', []],
    ] as const)('of joined audio like %s continue: all of it plays', async (name, output) => {
      const video = await clips.make('image.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
      const one = await clips.make(name, ['-f', 'lavfi', '-i', 'sine=d=1', ...output]);
      const { pcmSamples } = await load(video, { audio: await joined(`two-${name}`, one, one) });
      expect(pcmSamples).toBeGreaterThan(47_500);
    });

    it('that jump too often are rejected with media_timestamps', async () => {
      const one = await clips.test('short.ts', { seconds: 1, fps: '10', output: [...H264, '-an'] });
      await rejected(await joined('many.ts', ...Array.from({ length: 250 }, () => one)), 'media_timestamps');
    });
  });

  describe('headers with a wrong length', () => {
    const flv = ['-c:v', 'flv1', '-an'];
    const withDuration = (seconds: number) => (bytes: Buffer) => {
      // onMetaData has the name, a type byte and an IEEE double.
      bytes.writeDoubleBE(seconds, bytes.indexOf('duration') + 'duration'.length + 1);
      return bytes;
    };

    it.each([3 * 3600, 0, 0.5])('FLV that states %d s is as long as its content', async (seconds) => {
      const whole = await clips.test('whole.flv', { output: flv });
      const path = await clips.altered(`states-${seconds}.flv`, whole, withDuration(seconds));
      expect(Math.abs((await load(path)).frames - 60)).toBeLessThanOrEqual(1);
    });

    it('FLV that ends within a tag is rejected as truncated', async () => {
      const whole = await clips.test('whole.flv', { output: flv });
      await rejected(
        await clips.altered('cut.flv', whole, (bytes) => bytes.subarray(0, bytes.length * 0.6)),
        'media_truncated',
      );
    });

    it.each([0, 0xffff_ffff, 0x7fff_ffff, 0xffff_ffff - 36])(
      'WAV from a pipe with a size of %i plays whole',
      async (n) => {
        const image = await clips.make('image.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
        const whole = await clips.make('tone.wav', ['-f', 'lavfi', '-i', 'sine=d=2:r=24000', '-fflags', '+bitexact']);
        const path = await clips.altered(`stream-${n}.wav`, whole, (bytes) => {
          bytes.writeUInt32LE(n, 4);
          bytes.writeUInt32LE(n, bytes.indexOf('data') + 4);
          return bytes;
        });
        expect((await load(image, { audio: path })).pcmSamples).toBe(48_000);
      },
    );

    it('WAV that is cut short is rejected as truncated', async () => {
      const image = await clips.make('image.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
      const whole = await clips.make('tone.wav', ['-f', 'lavfi', '-i', 'sine=d=2:r=24000', '-fflags', '+bitexact']);
      const cut = await clips.altered('cut.wav', whole, (bytes) => bytes.subarray(0, bytes.length / 2));
      await rejected(image, 'media_truncated', { audio: cut });
    });

    it('WebM without a duration, and Matroska with a wrong one, are as long as their content', async () => {
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

    it('media longer than the limit is rejected by its content', async () => {
      const whole = await clips.test('whole.flv', { output: flv });
      const path = await clips.altered('states-less.flv', whole, withDuration(0.1));
      await rejected(path, 'media_too_long', { maxDurationSeconds: 1 });
    });
  });

  describe('unsupported still image formats', () => {
    const box = (brand: string) => (bytes: Buffer) =>
      Buffer.concat([Buffer.from('\0\0\0\x18ftyp', 'latin1'), Buffer.from(brand.padEnd(16, '\0'), 'latin1'), bytes]);

    it.each([
      ['TIFF', (bytes: Buffer) => bytes],
      ['HEIC', box('heic')],
      ['HEIF', box('mif1')],
      ['AVIF', box('avif')],
    ] as const)('are rejected by name: %s', async (kind, alter) => {
      const tiff = await clips.make('photo.tiff', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
      const error = await rejected(await clips.altered(`photo.${kind}`, tiff, alter), 'media_unreadable');
      expect(error.message).toContain(`${kind} images are not accepted; send JPEG, PNG or WebP`);
    });
  });

  describe('streams', () => {
    const cover = ['-f', 'lavfi', '-i', 'color=green:s=320x320:r=25:d=0.04'];

    it.each([
      ['MJPEG', 'cover.mkv', 'mjpeg'],
      ['PNG', 'cover-png.mkv', 'png'],
      ['MJPEG in MP4', 'cover.mp4', 'mjpeg'],
      ['MJPEG in MOV', 'cover.mov', 'mjpeg'],
    ])('a cover image (%s) that is first and default is not used as the video', async (_, name, codec) => {
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

    it('audio of an unknown codec is skipped for a known one, and named if it is the only one', async () => {
      const two = await clips.make('two-audio.mov', [
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
      const one = await clips.make('one-audio.mov', [
        '-i',
        await clips.test('moving.mp4'),
        '-c:v',
        'copy',
        '-c:a',
        'pcm_s16le',
      ]);
      const error = await rejected(await clips.altered('unknown.mov', one, forget), 'media_undecodable');
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

/**
 * Marks film as telecined by flags: a sequence of 30000/1001 that is not progressive (ITU-T H.262 §6.3.3), with two of every
 * four frames repeating a field (§6.3.10).
 */
function withPulldown(stream: Buffer): Buffer {
  const FLAGS = [0x82, 0x00, 0x02, 0x80];
  let frames = 0;
  for (let at = stream.indexOf('\0\0\x01'); at >= 0; at = stream.indexOf('\0\0\x01', at + 3)) {
    const code = stream.readUInt8(at + 3);
    if (code === 0xb3) stream.writeUInt8((stream.readUInt8(at + 7) & 0xf0) | 4, at + 7);
    if (code !== 0xb5) continue;
    const extension = stream.readUInt8(at + 4) >> 4;
    if (extension === 1) stream.writeUInt8(stream.readUInt8(at + 5) & ~0x08, at + 5);
    if (extension === 8) stream.writeUInt8((stream.readUInt8(at + 7) & 0x7d) | (FLAGS[frames++ % 4] ?? 0), at + 7);
  }
  return stream;
}
