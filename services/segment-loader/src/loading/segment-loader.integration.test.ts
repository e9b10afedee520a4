import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type ErrorCode, type RenditionConfig } from '@humancast/protocol';
import { type SegmentManifest, samplesToMs } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { type FlashBeepOptions } from '../../testing/clips.js';
import { type DecodedSegment } from '../../testing/decoded-segment.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 };
const H264: RenditionConfig = { id: 'h264', codec: 'h264', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 };

interface Options {
  audio?: string;
  renditions?: readonly RenditionConfig[];
  gopMs?: number;
  maxDurationSeconds?: number;
  whole?: boolean;
  signal?: AbortSignal;
}

/** Loads real files through real ffmpeg into real Redis, and decodes the segments. */
describe('SegmentLoader', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  function load(path: string, { audio, renditions = [VP8], ...options }: Options = {}): Promise<SegmentManifest> {
    const paths = audio === undefined ? [path] : [path, audio];
    return fixture.load(paths, ([video = -1, audio]) => ({ video, audio }), { renditions, ...options });
  }

  async function loaded(
    path: string,
    options: Options = {},
  ): Promise<{ manifest: SegmentManifest; decoded: DecodedSegment }> {
    const manifest = await load(path, options);
    expect(await fixture.store.hasAllParts(manifest.id)).toBe(true);
    const decoded = await fixture.decode(manifest);
    expect(decoded.pixels).toHaveLength(manifest.frames);
    expect(decoded.samples).toHaveLength(manifest.pcmSamples);
    return { manifest, decoded };
  }

  /** Expects a file to be rejected with this code and to leave nothing behind. */
  async function rejected(path: string, code: ErrorCode, options: Options = {}): Promise<Error> {
    const keysBefore = await fixture.keyCount();
    const error: unknown = await load(path, options).then(
      () => new Error('it was loaded'),
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code });
    expect(await fixture.keyCount()).toBe(keysBefore);
    return error as Error;
  }

  describe('a valid file', () => {
    it('becomes VP8 with keyframes only at GOP starts, and PCM of the same length', async () => {
      const { manifest } = await loaded(await clips.test('good.mp4'), { gopMs: 500 });
      expect(manifest).toMatchObject({
        state: 'complete',
        frames: 60,
        gopFrames: 15,
        fps: { num: 30, den: 1 },
        pcmSamples: 48_000,
        durationSamples: 96_000,
        renditions: [{ id: 'vp8', codec: 'vp8', width: 160, height: 120 }],
      });
    });

    it('has exit points where its chapters begin', async () => {
      const chapters = join(clips.folder, 'chapters.txt');
      const chapter = (from: number, to: number) => `[CHAPTER]\nTIMEBASE=1/1000\nSTART=${from}\nEND=${to}\n`;
      await writeFile(chapters, `;FFMETADATA1\n${chapter(0, 500)}${chapter(500, 1200)}${chapter(1200, 2000)}`);
      const source = await clips.test('unmarked.mp4');
      const path = await clips.make('marked.mp4', ['-i', source, '-i', chapters, '-map_metadata', '1', '-c', 'copy']);
      expect((await load(path)).markFrames).toEqual([15, 36]);
    });

    it('becomes several renditions, aligned frame by frame, of which the first of each codec is there first', async () => {
      const small = { ...VP8, id: 'small', maxWidth: 80, maxHeight: 80, bitrateBps: 100_000 };
      const renditions = [VP8, H264, small];
      const first = await load(await clips.flashBeep('flash.mp4'), { renditions, whole: false });
      expect(first.renditions.map(({ id }) => id)).toEqual(['vp8', 'h264']);
      expect(first.missingRenditions).toEqual([
        { id: 'small', codec: 'vp8', width: 80, height: 60, bitrateBps: 100_000 },
      ]);
      expect(await fixture.store.hasAllParts(first.id)).toBe(true);
      const manifest = await fixture.complete(first);
      expect(manifest).not.toHaveProperty('missingRenditions');
      expect(manifest.renditions.map(({ id, width, height }) => [id, width, height])).toEqual([
        ['vp8', 160, 120],
        ['h264', 160, 120],
        ['small', 80, 60],
      ]);
      for (const i of [0, 1, 2]) {
        const { pixels, flashes } = await fixture.decode(manifest, i);
        expect(pixels).toHaveLength(90);
        expect(flashes).toEqual([0, 1, 2]);
      }
    });

    it('has the colors that decoders assume: BT.601 for VP8, BT.709 for H.264', async () => {
      const args = ['-f', 'lavfi', '-i', 'color=red:s=64x64:r=10:d=0.5', '-vf', 'scale=out_color_matrix=bt709'];
      const path = await clips.make('red.mp4', [
        ...args,
        '-colorspace',
        'bt709',
        '-c:v',
        'libx264',
        '-pix_fmt',
        'yuv420p',
      ]);
      const manifest = await load(path, { renditions: [VP8, H264] });
      const near = (value: number) => expect.closeTo(value, -0.8) as number;
      expect((await fixture.decode(manifest, 0)).pixels[2]).toEqual({ y: near(81), u: near(90), v: near(240) });
      expect((await fixture.decode(manifest, 1)).pixels[2]).toEqual({ y: near(63), u: near(102), v: near(240) });
    });

    it('takes its audio from a second file, both from their start', async () => {
      const video = await clips.flashBeep('mute.mp4', { output: ['-an', '-c:v', 'libx264', '-pix_fmt', 'yuv420p'] });
      const tone = ['-f', 'lavfi', '-i', "aevalsrc='if(lt(mod(t,1),0.1),0.8*sin(2*PI*1000*t),0)':s=44100:d=3"];
      for (const name of ['voice.wav', 'voice.m4a', 'voice.mp3']) {
        const { decoded } = await loaded(video, { audio: await clips.make(name, tone) });
        expectTogether(decoded, 3);
      }
    });
  });

  describe('video and audio', () => {
    const opus = ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libopus'];
    // FFmpeg 5's WebM muxer forgets to add the 6.5 ms that Opus needs before its first sample (RFC 7845 §4.2).
    const cases: readonly [string, FlashBeepOptions][] = [
      ['aac.mp4', {}],
      ['aac.mkv', {}],
      ['aac.ts', {}],
      ['opus.webm', { muxedLateSeconds: 0.0065, output: opus }],
      ['vorbis.webm', { output: ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libvorbis'] }],
      ['ntsc.mp4', { fps: '30000/1001' }],
      ['audio 200 ms late.mp4', { audioLateSeconds: 0.2 }],
      ['audio 200 ms late.mkv', { audioLateSeconds: 0.2 }],
    ];
    it.each(cases)('of %s stay in sync to the millisecond', async (name, options) => {
      const { decoded } = await loaded(await clips.flashBeep(name, options));
      // Audio that begins 200 ms late has missed the first beep.
      expectTogether(decoded, options.audioLateSeconds ? 2 : 3, options.fps ? 33 : 1);
    });

    it('of different lengths make a segment as long as the longer one', async () => {
      const input = (videoSeconds: number, audioSeconds: number) => [
        '-f',
        'lavfi',
        '-i',
        `testsrc2=s=64x64:r=25:d=${videoSeconds}`,
        '-f',
        'lavfi',
        '-i',
        `sine=d=${audioSeconds}:r=48000`,
      ];
      const long = (await loaded(await clips.make('long-audio.mp4', input(1, 2)))).manifest;
      expect(long).toMatchObject({ frames: 25, pcmSamples: 48_000, durationSamples: 96_000 });
      const short = (await loaded(await clips.make('short-audio.mp4', input(2, 1)))).manifest;
      expect(short).toMatchObject({ frames: 50, pcmSamples: 24_000, durationSamples: 96_000 });
    });

    it('without audio make a silent segment', async () => {
      const { manifest } = await loaded(await clips.test('silent.mp4', { output: ['-an', '-c:v', 'libx264'] }));
      expect(manifest).toMatchObject({ frames: 60, pcmSamples: 0, durationSamples: 96_000 });
    });

    it('from 44.1 kHz stereo are resampled and both channels mixed', async () => {
      const stereo = ["aevalsrc='0|0.5*sin(2*PI*1000*t)':s=44100:d=1"];
      const path = await clips.make('stereo.mp4', [
        '-f',
        'lavfi',
        '-i',
        'color=s=64x64:r=25:d=1',
        '-f',
        'lavfi',
        '-i',
        ...stereo,
      ]);
      const { manifest, decoded } = await loaded(path);
      expect(manifest.pcmSamples).toBe(24_000);
      const middle = decoded.samples.subarray(6000, 18_000);
      const crossings = middle.filter((sample, i) => i > 0 && (middle[i - 1] ?? 0) < 0 && sample >= 0).length;
      expect(crossings).toBeGreaterThanOrEqual(499);
      expect(crossings).toBeLessThanOrEqual(501);
      expect(Math.max(...middle)).toBeGreaterThan(7000);
    });
  });

  describe('unusual video', () => {
    it('with a variable frame rate becomes constant and stays in sync', async () => {
      const vfr = "select='not(eq(mod(n,7),3)+eq(mod(n,11),5))'";
      const path = await clips.make('vfr.mp4', [
        '-i',
        await clips.flashBeep('base.mp4'),
        '-vf',
        vfr,
        '-fps_mode',
        'vfr',
        '-c:v',
        'libx264',
        '-pix_fmt',
        'yuv420p',
      ]);
      const { manifest, decoded } = await loaded(path);
      expect([24, 25, 30]).toContain(manifest.fps.num);
      expect(samplesToMs(manifest.durationSamples)).toBeCloseTo(3000, -1.5);
      expect(decoded.flashes).toHaveLength(3);
      for (const [i, at] of decoded.flashes.entries()) expect(Math.abs(at - i)).toBeLessThan(0.08);
    });

    it('of a phone held upright is upright', async () => {
      const path = await clips
        .make('phone.mp4', ['-display_rotation', '90', '-i', await clips.test('landscape.mp4'), '-c', 'copy'])
        .catch(async () =>
          // FFmpeg before 6 sets the rotation by a tag.
          clips.make('phone.mov', [
            '-i',
            await clips.test('landscape.mp4'),
            '-c',
            'copy',
            '-metadata:s:v:0',
            'rotate=90',
          ]),
        );
      const { manifest } = await loaded(path);
      expect(manifest.renditions[0]).toMatchObject({ width: 120, height: 160 });
    });

    it('with non-square pixels becomes square', async () => {
      const output = ['-vf', 'setsar=2', '-c:v', 'libx264', '-pix_fmt', 'yuv420p'];
      const { manifest } = await loaded(await clips.test('anamorphic.mp4', { output }));
      expect(manifest.renditions[0]).toMatchObject({ width: 320, height: 120 });
    });

    it('with alpha is black where it is transparent', async () => {
      const source = ['-f', 'lavfi', '-i', 'color=white@0.0:s=64x64:r=10:d=0.5,format=yuva420p'];
      const webm = await clips.make('alpha.webm', [
        ...source,
        '-c:v',
        'libvpx-vp9',
        '-b:v',
        '200k',
        '-auto-alt-ref',
        '0',
      ]);
      const apng = await clips.make('alpha.mov', [
        '-f',
        'lavfi',
        '-i',
        'color=white@0.0:s=64x64:r=10:d=0.5,format=rgba',
        '-c:v',
        'png',
      ]);
      for (const path of [webm, apng]) {
        const { decoded } = await loaded(path);
        expect(decoded.pixels.every(({ y }) => y < 24)).toBe(true);
      }
    });

    it('of 10 bits, also HDR, becomes 8 bits', async () => {
      const ten = ['-pix_fmt', 'yuv420p10le', '-c:v', 'libx264', '-preset', 'ultrafast'];
      expect((await loaded(await clips.test('ten.mp4', { output: ten }))).manifest.frames).toBe(60);
      const hlg = ['-color_primaries', 'bt2020', '-color_trc', 'arib-std-b67', '-colorspace', 'bt2020nc'];
      expect((await loaded(await clips.test('hlg.mkv', { output: [...ten, ...hlg] }))).manifest.frames).toBe(60);
    });

    it('of 240 fps plays at 60', async () => {
      const { manifest } = await loaded(await clips.test('fast.mp4', { fps: '240', seconds: 1, size: '64x64' }));
      expect(manifest).toMatchObject({ frames: 60, fps: { num: 60, den: 1 } });
    });

    it('that changes its size midway keeps its length', async () => {
      const ts = (name: string, size: string, from: string) =>
        clips.test(name, {
          size,
          output: ['-an', '-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-output_ts_offset', from],
        });
      const parts = [await ts('one.ts', '160x120', '0'), await ts('two.ts', '320x180', '2')];
      const path = await clips.make('sizes.ts', [
        '-f',
        'concat',
        '-safe',
        '0',
        '-i',
        await list(parts),
        '-c',
        'copy',
        '-copyts',
      ]);
      const { manifest } = await loaded(path);
      expect(Math.abs(manifest.frames - 120)).toBeLessThanOrEqual(2);
    });

    it('from a still image is one frame', async () => {
      const path = await clips.make('still.png', ['-f', 'lavfi', '-i', 'color=blue:s=64x64', '-frames:v', '1']);
      const audio = await clips.make('still.wav', ['-f', 'lavfi', '-i', 'sine=d=1']);
      expect((await loaded(path, { audio })).manifest).toMatchObject({ frames: 1, pcmSamples: 24_000 });
    });

    async function list(paths: readonly string[]): Promise<string> {
      return clips.bytes('list.txt', paths.map((path) => `file '${path}'\n`).join(''));
    }
  });

  describe('an invalid file', () => {
    it('of zero bytes, text or noise is rejected as unreadable', async () => {
      await rejected(await clips.bytes('zero.mp4', ''), 'media_unreadable');
      await rejected(await clips.bytes('text.mp4', 'Lorem ipsum\n'.repeat(500)), 'media_unreadable');
      const noise = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919 * (i % 251)) >> (i % 5)));
      await rejected(await clips.bytes('noise.mp4', noise), 'media_unreadable');
    });

    it('that references other files is rejected as unreadable', async () => {
      const other = await clips.test('good.mp4');
      const playlist = `#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://${other}\n#EXT-X-ENDLIST\n`;
      await rejected(await clips.bytes('playlist.m3u8', playlist), 'media_unreadable');
      await rejected(await clips.bytes('list.ffconcat', `ffconcat version 1.0\nfile '${other}'\n`), 'media_unreadable');
    });

    it('that is cut short is rejected with the lengths found and stated', async () => {
      const output = ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', '-movflags', '+faststart'];
      const whole = await clips.test('faststart.mp4', { output, seconds: 3, size: '320x240' });
      const cut = (bytes: Buffer) => bytes.subarray(0, bytes.length * 0.6);
      const error = await rejected(await clips.altered('cut.mp4', whole, cut), 'media_truncated');
      expect(error.message).toMatch(/\d\.\d\d s of .* could be read; the file states 3\.00 s/);
      const webm = await clips.test('whole.mkv', { seconds: 3 });
      await rejected(await clips.altered('cut.mkv', webm, cut), 'media_truncated');
    });

    it('that is cut short within a fragment is rejected as truncated', async () => {
      const output = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '30', '-c:a', 'aac'];
      const fragmented = [...output, '-movflags', '+frag_keyframe+empty_moov+default_base_moof'];
      const whole = await clips.test('fragments.mp4', { output: fragmented, seconds: 3, size: '320x240' });
      expect((await load(whole)).frames).toBeGreaterThanOrEqual(90);
      await rejected(
        await clips.altered('cut-fragments.mp4', whole, (bytes) => bytes.subarray(0, bytes.length * 0.55)),
        'media_truncated',
      );
    });

    it('without its index is rejected as truncated', async () => {
      const error = await rejected(
        await clips.altered('no-index.mp4', await clips.test('good.mp4'), (bytes) =>
          bytes.subarray(0, bytes.length * 0.5),
        ),
        'media_truncated',
      );
      expect(error.message).toContain('moov');
    });

    it('with damage that ffmpeg tolerates is rejected as corrupt, with the extent of the damage', async () => {
      const output = ['-c:v', 'libx264', '-preset', 'superfast', '-c:a', 'aac', '-movflags', '+faststart'];
      const whole = await clips.test('undamaged.mp4', { output, seconds: 3, size: '320x240' });
      const damage = (bytes: Buffer) => {
        for (let i = bytes.length * 0.5; i < bytes.length * 0.6; i++) bytes[Math.trunc(i)] = (i * 31) & 0xff;
        return bytes;
      };
      const error = await rejected(await clips.altered('damaged.mp4', whole, damage), 'media_corrupt');
      expect(error.message).toMatch(/\d+ of \d+ video frames are damaged|audio packets are damaged/);
    });

    it('without video is rejected with media_no_video', async () => {
      await rejected(await clips.make('audio-only.m4a', ['-f', 'lavfi', '-i', 'sine=d=1']), 'media_no_video');
    });

    it('of 1×1 or 16000×16000 is rejected before it is decoded', async () => {
      await rejected(
        await clips.make('tiny.png', ['-f', 'lavfi', '-i', 'color=s=16x16,scale=1:1', '-frames:v', '1']),
        'media_too_small',
      );
      const small = await clips.make('small.png', ['-f', 'lavfi', '-i', 'color=s=16x16', '-frames:v', '1']);
      const huge = await clips.altered('huge.png', small, (bytes) => resizePng(bytes, 16_000, 16_000));
      expect((await rejected(huge, 'media_too_large')).message).toContain('16000×16000');
    });

    it('whose header states a wrong duration is as long as its track', async () => {
      const whole = await clips.test('short.mp4', { output: ['-an', '-c:v', 'libx264', '-preset', 'ultrafast'] });
      const path = await clips.altered('wrong-header.mp4', whole, (bytes) => stateDuration(bytes, 3 * 3600));
      expect((await load(path)).frames).toBe(60);
    });

    it('longer than the limit is rejected at the limit', async () => {
      const endless = await clips.test('three.ts', { seconds: 3 });
      await rejected(endless, 'media_too_long', { maxDurationSeconds: 1 });
    });

    it('given as audio but without any is rejected', async () => {
      const video = await clips.test('good.mp4');
      const mute = await clips.test('silent.mp4', { output: ['-an', '-c:v', 'libx264'] });
      await rejected(video, 'media_unreadable', { audio: mute });
    });
  });

  it('aborting a load leaves nothing behind, and no ffmpeg', async () => {
    const abort = new AbortController();
    const path = await clips.test('to-abort.mp4', {
      seconds: 20,
      size: '640x480',
      output: ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac'],
    });
    const before = await fixture.keyCount();
    const loading = load(path, { signal: abort.signal });
    const rejected = expect(loading).rejects.toThrow('aborted');
    await firstPart(before);
    expect(await childrenNamed('ffmpeg')).toHaveLength(1);
    abort.abort(new Error('aborted'));
    await rejected;
    expect(await fixture.keyCount()).toBe(before);
    expect(await childrenNamed('ffmpeg')).toEqual([]);
  });

  /** Waits until a load has written something. */
  async function firstPart(keysBefore: number): Promise<void> {
    while ((await fixture.keyCount()) === keysBefore) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Expects each beep within a millisecond of its flash; a flash may be off the full second by half a frame duration. */
  function expectTogether({ flashes, beeps }: DecodedSegment, count: number, offGridMs = 1): void {
    const heard = flashes.slice(-count);
    expect(beeps).toHaveLength(count);
    heard.forEach((flash, i) => {
      expect(Math.abs((beeps[i] ?? 0) - flash) * 1000).toBeLessThan(offGridMs);
    });
  }
});

/** @returns The process ids of our children that run a program (proc(5)). */
async function childrenNamed(program: string): Promise<string[]> {
  const children = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).split(' ').filter(Boolean);
  const names = await Promise.all(children.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')));
  return children.filter((_, i) => names[i]?.trim() === program);
}

/** Writes another size and its checksum into a PNG's header (PNG §11.2.1), which decoders read before they allocate. */
function resizePng(bytes: Buffer, width: number, height: number): Buffer {
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  return bytes;
}

/**
 * Writes another duration into an MP4's movie, track and media headers (ISO/IEC 14496-12 §8.2.2, §8.3.2, §8.4.2), version 0.
 */
function stateDuration(bytes: Buffer, seconds: number): Buffer {
  const movieHeader = bytes.indexOf('mvhd') + 4;
  const movieScale = bytes.readUInt32BE(movieHeader + 12);
  bytes.writeUInt32BE(seconds * movieScale, movieHeader + 16);
  const trackHeader = bytes.indexOf('tkhd') + 4;
  bytes.writeUInt32BE(seconds * movieScale, trackHeader + 20);
  const mediaHeader = bytes.indexOf('mdhd') + 4;
  bytes.writeUInt32BE(seconds * bytes.readUInt32BE(mediaHeader + 12), mediaHeader + 16);
  return bytes;
}
