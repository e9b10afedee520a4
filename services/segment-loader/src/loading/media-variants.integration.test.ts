import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { H264 } from '../../testing/clips.js';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const AV = [...H264, '-c:a', 'aac'];
const VP8 = { id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 500_000 } as const;

describe('SegmentLoader with further file variants', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  const load = (paths: readonly string[]) =>
    fixture.load(paths, ([video = -1, audio]) => ({ video, audio }), { renditions: [VP8] });

  async function expectSynced(paths: readonly string[], toleranceSeconds: number): Promise<void> {
    const manifest = await load(paths);
    expect(Math.abs(manifest.frames - 90)).toBeLessThanOrEqual(1);
    const { flashes, beeps } = await fixture.decode(manifest);
    expect(flashes).toHaveLength(3);
    expect(beeps).toHaveLength(3);
    for (const [i, beep] of beeps.slice(1).entries()) {
      expect(Math.abs(beep - (flashes[i + 1] ?? 0))).toBeLessThan(toleranceSeconds);
    }
  }

  it.each([
    ['fragments without an edit list', 'frag.mp4', [...AV, '-movflags', 'frag_keyframe+empty_moov', '-g', '30']],
    ['fragments with a sidx', 'sidx.mp4', [...AV, '-movflags', 'dash+global_sidx+frag_keyframe', '-g', '30']],
    ['a timecode track', 'tmcd.mov', ['-c:v', 'mjpeg', '-c:a', 'pcm_s16be', '-timecode', '01:00:00:00']],
    ['ProRes', 'prores.mov', ['-c:v', 'prores', '-c:a', 'pcm_s24le']],
    ['a clock near its wrap', 'wrap.ts', [...AV, '-output_ts_offset', '95441']],
    ['packets of 192 bytes', 'camera.m2ts', [...AV, '-f', 'mpegts', '-mpegts_m2ts_mode', '1']],
    ['no stated duration', 'no-duration.flv', [...AV, '-flvflags', 'no_duration_filesize']],
    ['8-bit audio in AVI', 'u8.avi', ['-c:v', 'mjpeg', '-c:a', 'pcm_u8', '-ar', '11025']],
    ['raw video', 'raw.avi', ['-c:v', 'rawvideo', '-pix_fmt', 'bgr24', '-c:a', 'pcm_s16le']],
    ['H.263', 'phone.3gp', ['-c:v', 'h263', '-s', '176x144', '-c:a', 'aac', '-ar', '8000', '-ac', '1']],
    ['B-frames and open GOPs', 'open-gop.mp4', [...AV, '-bf', '3', '-x264-params', 'open-gop=1']],
    ['a negative start', 'negative.mkv', [...AV, '-output_ts_offset', '-0.3', '-avoid_negative_ts', 'disabled']],
  ])('keeps audio and video in sync for %s (%s)', async (_, name, output) => {
    await expectSynced([await clips.flashBeep(name, { output })], 0.04);
  });

  it.each([
    ['w64', ['-c:a', 'pcm_s16le', '-f', 'w64']],
    ['rf64.wav', ['-c:a', 'pcm_s16le', '-rf64', 'always']],
    ['float.wav', ['-c:a', 'pcm_f32le']],
    ['192k.wav', ['-c:a', 'pcm_s24le', '-ar', '192000']],
    ['8k.wav', ['-c:a', 'pcm_mulaw', '-ar', '8000']],
    ['8ch.wav', ['-c:a', 'pcm_s16le', '-ac', '8']],
    ['aiff', ['-c:a', 'pcm_s16be']],
    ['alac.caf', ['-c:a', 'alac']],
    ['tagged.mp3', ['-c:a', 'libmp3lame', '-ar', '44100']],
    ['aac.m4a', ['-c:a', 'aac', '-ar', '44100']],
    ['opus', ['-c:a', 'libopus']],
  ])('keeps an audio part in %s in sync with its video', async (name, output) => {
    const video = await clips.flashBeep('base.mp4');
    const audio = await clips.make(`audio.${name}`, ['-i', video, '-vn', ...output]);
    await expectSynced([video, audio], 0.04);
  });

  it.each(['cover.mp3', 'cover.m4a', 'cover.flac'])('takes the audio of %s beside its cover', async (name) => {
    const video = await clips.flashBeep('base.mp4');
    const cover = ['-f', 'lavfi', '-i', 'color=s=300x300:d=0.04', '-map', '0:a', '-map', '1:v'];
    const output = ['-c:v', name.endsWith('flac') ? 'png' : 'mjpeg', '-disposition:v', 'attached_pic'];
    await expectSynced([video, await clips.make(name, ['-i', video, ...cover, ...output])], 0.04);
  });

  it('plays the first of two programs that run in parallel', async () => {
    const one = await clips.flashBeep('one.ts');
    const map = ['-map', '0:v', '-map', '0:a', '-map', '1:v', '-map', '1:a', '-c', 'copy'];
    const programs = ['-program', 'program_num=1:st=0:st=1', '-program', 'program_num=2:st=2:st=3'];
    await expectSynced([await clips.make('two.ts', ['-i', one, '-i', one, ...map, ...programs])], 0.04);
  });

  describe('rejects', () => {
    const rejection = async (path: string) =>
      load([path]).then(
        ({ frames }) => ({ code: `loaded ${frames} frames`, message: '' }),
        (error: { code: string; message: string }) => error,
      );

    it.each([
      ['video and audio', AV],
      ['video only', ['-an', ...H264]],
    ])('MPEG-TS with %s whose programs change, because the second would be lost', async (_, output) => {
      const one = await clips.flashBeep('one.ts', { output });
      const pids = ['-mpegts_service_id', '7', '-mpegts_start_pid', '0x300', '-mpegts_pmt_start_pid', '0x200'];
      const next = await clips.flashBeep('next.ts', { output: [...output, ...pids] });
      const both = Buffer.concat([await readFile(one), await readFile(next)]);
      const { code, message } = await rejection(await clips.bytes('change.ts', both));
      expect(code).toBe('media_joined');
      expect(message).toMatch(
        /where the (video|audio) of stream \d ends, that of stream \d begins, which would be lost/,
      );
    });

    it('MP4 that ends within its index as truncated', async () => {
      const video = await clips.flashBeep('base.mp4');
      const cut = await clips.altered('cut.mp4', video, (bytes) => bytes.subarray(0, bytes.length - 1000));
      expect((await rejection(cut)).code).toBe('media_truncated');
    });

    it('animated WebP by name', async () => {
      const args = ['-f', 'lavfi', '-i', 'testsrc2=s=96x64:r=10:d=1', '-c:v', 'libwebp_anim'];
      const { code, message } = await rejection(await clips.make('animated.webp', args));
      expect(code).toBe('media_unreadable');
      expect(message).toContain('animated WebP');
    });

    it.each([
      ['text named .mp4', 'text.mp4', 'hello', 'media_unreadable'],
      ['an empty file', 'empty.mp4', '', 'media_unreadable'],
    ])('%s', async (_, name, content, code) => {
      expect((await rejection(await clips.bytes(name, content))).code).toBe(code);
    });

    it.each(['14x1000', '4000x20'])('video of %s as too small to encode', async (size) => {
      const args = ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=25:d=0.2`, ...H264];
      expect((await rejection(await clips.make(`${size}.mp4`, args))).code).toBe('media_too_small');
    });
  });

  it.each([
    ['16x16', '16x16', [16, 16]],
    ['7680x4320', '7680x4320', [1280, 720]],
  ] as const)('loads video of %s', async (_, size, shown) => {
    const args = ['-f', 'lavfi', '-i', `color=gray:s=${size}:r=25:d=0.08`, ...H264];
    const { renditions } = await load([await clips.make(`size-${size}.mp4`, args)]);
    expect([renditions[0]?.width, renditions[0]?.height]).toEqual(shown);
  });
});
