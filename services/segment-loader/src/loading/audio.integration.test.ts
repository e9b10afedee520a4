import { execFileSync } from 'node:child_process';
import { type RenditionConfig } from '@humancast/protocol';
import { PCM_RATE } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { H264 } from '../../testing/clips.js';
import { type LoadOptions, useLoaderFixture } from '../../testing/loader-fixture.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 160, maxHeight: 120, bitrateBps: 100_000 };
const GRAY_VIDEO = (seconds: number) => ['-f', 'lavfi', '-i', `color=gray:s=64x48:r=10:d=${seconds}`];

/** Loads real audio through real ffmpeg into real Redis. */
describe('the audio of a segment', () => {
  const fixture = useLoaderFixture();
  const { clips } = fixture;

  async function decoded(paths: readonly string[], options: Partial<LoadOptions> = {}) {
    const media = ([video = -1, audio]: readonly number[]) => ({ video, audio });
    const manifest = await fixture.load(paths, media, { renditions: [VP8], ...options });
    return { manifest, ...(await fixture.decode(manifest)) };
  }

  describe('with several channels', () => {
    const speech = '0.5*sin(2764*t)';
    const cases: readonly [string, string, string, readonly string[]][] = [
      ['the center of 5.1', `0|0|${speech}|0|0|0`, '5.1', ['-c:a', 'aac']],
      ['a surround channel of 5.1', `0|0|0|0|0|${speech}`, '5.1', ['-c:a', 'pcm_s16le']],
      ['a rear channel of 7.1', `0|0|0|0|${speech}|0|0|0`, '7.1', ['-c:a', 'pcm_s16le']],
      ['the left of stereo', `${speech}|0`, 'stereo', ['-c:a', 'aac']],
      ['the right of stereo', `0|${speech}`, 'stereo', ['-c:a', 'pcm_s16le']],
      ['both sides of stereo', `${speech}|${speech}`, 'stereo', ['-c:a', 'aac']],
      ['both sides of stereo in opposite phase', `${speech}|-${speech}`, 'stereo', ['-c:a', 'pcm_s16le']],
      ['one channel, with crosstalk into the other', `${speech}|0.2*${speech}`, 'stereo', ['-c:a', 'pcm_s16le']],
      ['the front of quadraphonic audio', `${speech}|${speech}|0|0`, 'quad', ['-c:a', 'flac']],
      ['the center of 5.1 with side channels', `0|0|${speech}|0|0|0`, '5.1(side)', ['-c:a', 'ac3']],
      ['the back of 6.1', `0|0|0|0|${speech}|0|0`, '6.1', ['-c:a', 'pcm_s16le']],
      ['a side of 7.1', `0|0|0|0|0|0|0|${speech}`, '7.1', ['-c:a', 'pcm_s16le']],
      [
        'the center of 7.1, with its echo behind',
        `0|0|${speech}|0|0.1*${speech}|0.1*${speech}|0|0`,
        '7.1',
        ['-c:a', 'flac'],
      ],
      ['the front of 4.0 in opposite phase', `${speech}|-${speech}|0|0`, '4.0', ['-c:a', 'pcm_s16le']],
      ['all of 5.1', new Array(6).fill(speech).join('|'), '5.1', ['-c:a', 'ac3']],
    ];
    it.each(cases)('keeps the level of speech in %s', async (name, expression, layout, codec) => {
      const path = await clips.make(`${name}.mkv`, [
        ...GRAY_VIDEO(1.5),
        '-f',
        'lavfi',
        '-i',
        `aevalsrc=${expression}:c=${layout}:d=1.5`,
        ...H264,
        ...codec,
      ]);
      const { samples } = await decoded([path]);
      expect(Math.abs(peakDb(samples) - -6)).toBeLessThan(1);
    });

    it.each([10, 3, 16])('keeps the level of speech in one of %i channels without a layout', async (channels) => {
      const raw = Int16Array.from({ length: PCM_RATE * channels }, (_, i) =>
        i % channels === channels - 1
          ? 16_384 * Math.sin((2 * Math.PI * 440 * Math.floor(i / channels)) / PCM_RATE)
          : 0,
      );
      const source = await clips.bytes(`${channels}.raw`, Buffer.from(raw.buffer));
      const input = ['-f', 's16le', '-ar', String(PCM_RATE), '-ac', String(channels), '-i', source];
      const path = await clips.make(`${channels}.mov`, [...GRAY_VIDEO(1), ...input, ...H264, '-c:a', 'pcm_s16le']);
      expect(Math.abs(peakDb((await decoded([path])).samples) - -6)).toBeLessThan(0.5);
    });

    it('keeps the level of two speakers with a microphone each', async () => {
      const turns = "aevalsrc='0.5*sin(2764*t)*lt(t,1)|0.5*sin(4000*t)*gt(t,1)':c=stereo:d=2";
      const wav = await clips.make('turns.wav', ['-f', 'lavfi', '-i', turns]);
      const { samples } = await decoded([await still(), wav]);
      expect(Math.abs(peakDb(samples.subarray(0, 0.9 * PCM_RATE)) - -6)).toBeLessThan(0.5);
      expect(Math.abs(peakDb(samples.subarray(1.1 * PCM_RATE)) - -6)).toBeLessThan(0.5);
    });

    it('stays below full scale when two channels at full scale coincide', async () => {
      const both = "aevalsrc='0.99*sin(2764*t)|0.99*sin(4000*t)':c=stereo:d=2";
      const wav = await clips.make('both.wav', ['-f', 'lavfi', '-i', both]);
      const { samples } = await decoded([await still(), wav]);
      expect(Math.max(...samples)).toBeLessThan(32_767);
      expect(peakDb(samples)).toBeGreaterThan(-1);
    });

    it('keeps the level of identical channels at full scale', async () => {
      const same = "aevalsrc='0.97*sin(2764*t)|0.97*sin(2764*t)':c=stereo:d=1";
      const wav = await clips.make('same.wav', ['-f', 'lavfi', '-i', same]);
      const { samples } = await decoded([await still(), wav]);
      expect(Math.abs(peakDb(samples) - 20 * Math.log10(0.97))).toBeLessThan(0.1);
    });
  });

  describe("with a clock that differs from the video's", () => {
    it.each([1.01, 0.99, 1.003, 1.03])(
      'stays in sync to the end without gaps at a clock rate of %f',
      async (factor) => {
        const beeps = "aevalsrc='0.02*sin(2764*t)+if(lt(mod(t,1),0.1),0.8*sin(2*PI*1000*t),0)':s=48000:d=20";
        const source = await clips.make('beeps.m4a', ['-f', 'lavfi', '-i', beeps, '-c:a', 'aac']);
        const scaled = ['-i', source, '-c:a', 'copy', '-bsf:a', `setts=ts=TS*${factor}`];
        const path = await clips.make(`drift-${factor}.mkv`, [
          ...scaled.slice(0, 2),
          ...GRAY_VIDEO(21),
          '-map',
          '1',
          '-map',
          '0',
          ...H264,
          ...scaled.slice(2),
        ]);
        const { samples, beeps: heard } = await decoded([path]);
        expect(heard).toHaveLength(20);
        for (const [i, at] of heard.entries()) expect(Math.abs(at - i * factor)).toBeLessThan(0.035);
        expect(longestSilenceMs(samples.subarray(PCM_RATE / 2, 19.5 * PCM_RATE))).toBeLessThan(3);
      },
    );

    it('keeps real gaps silent and at their length', async () => {
      const source = await clips.make('whole.wav', ['-f', 'lavfi', '-i', 'sine=440:r=48000:d=6']);
      for (const [from, to] of [
        [2, 2.5],
        [3, 3.1],
        [1, 4],
      ] as const) {
        const holed = ['-i', source, '-af', `aselect='not(between(t,${from},${to}))'`, '-c:a', 'pcm_s16le'];
        const path = await clips.make(`hole-${from}-${to}.mkv`, [
          ...holed.slice(0, 2),
          ...GRAY_VIDEO(6),
          '-map',
          '1',
          '-map',
          '0',
          ...H264,
          ...holed.slice(2),
        ]);
        const { samples } = await decoded([path]);
        expect(samples.length / PCM_RATE).toBeCloseTo(6, 1);
        expect(Math.abs(longestSilenceMs(samples) - 1000 * (to - from))).toBeLessThan(45);
      }
    });
  });

  describe('with a loudness target', () => {
    const speech = (level: number) =>
      `aevalsrc='${level}*(0.5+0.5*sin(2*PI*3*t))*(sin(2*PI*220*t)+0.5*sin(2*PI*900*t)+0.3*sin(2*PI*2500*t))':s=48000:d=5`;
    it.each([
      ['a quiet voice', 0.02, -16],
      ['a loud voice', 0.5, -23],
      ['a voice far too quiet', 0.002, -16],
    ])('brings %s to the target without clipping', async (name, level, target) => {
      const wav = await clips.make(`${name}.wav`, ['-f', 'lavfi', '-i', speech(level)]);
      const { samples } = await decoded([await still(), wav], { loudness: target });
      const { loudness, truePeak } = await measured(`${name}.s16`, samples);
      const reachable = level < 0.01 ? (await before(wav)) + 30 : target;
      expect(Math.abs(loudness - Math.min(target, reachable))).toBeLessThan(1);
      expect(truePeak).toBeLessThanOrEqual(-1);
    });

    it('limits peaks to −1 dBTP if the target would lift them above', async () => {
      const clicks = "aevalsrc='0.05*sin(2*PI*300*t)+if(lt(mod(t,1),0.01),0.9*sin(2*PI*5000*t),0)':s=48000:d=5";
      const wav = await clips.make('clicks.wav', ['-f', 'lavfi', '-i', clicks]);
      const { samples } = await decoded([await still(), wav], { loudness: -12 });
      const { truePeak, loudness } = await measured('clicks.s16', samples);
      expect(truePeak).toBeLessThanOrEqual(-1);
      expect(loudness).toBeGreaterThan(await before(wav));
    });

    it('leaves silence silent', async () => {
      const wav = await clips.make('silence.wav', ['-f', 'lavfi', '-i', 'anullsrc=r=48000:cl=mono', '-t', '2']);
      const { samples } = await decoded([await still(), wav], { loudness: -16 });
      expect(samples).toHaveLength(2 * PCM_RATE);
      expect(samples.every((sample) => sample === 0)).toBe(true);
    });
  });

  it('of an idle clip is cut to the length of moving video, but not of a still image', async () => {
    const moving = ['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=25:d=2', '-f', 'lavfi', '-i', 'sine=d=2.04'];
    const path = await clips.make('padded.mp4', [...moving, ...H264, '-c:a', 'aac']);
    const { manifest } = await decoded([path], { role: 'idle' });
    expect(manifest).toMatchObject({ frames: 50, durationSamples: 96_000 });
    expect((await decoded([path])).manifest.durationSamples).toBeGreaterThan(96_000);
    const short = ['-f', 'lavfi', '-i', 'testsrc2=s=64x48:r=25:d=2', '-f', 'lavfi', '-i', 'sine=d=1.2'];
    const quiet = await decoded([await clips.make('short.mp4', [...short, ...H264, '-c:a', 'aac'])], { role: 'idle' });
    expect(quiet.manifest).toMatchObject({ frames: 50, durationSamples: 96_000 });
    expect(quiet.samples.subarray(1.3 * PCM_RATE).every((sample) => sample === 0)).toBe(true);
    const wav = await clips.make('room.wav', ['-f', 'lavfi', '-i', 'sine=d=2']);
    expect((await decoded([await still(), wav], { role: 'idle' })).manifest.durationSamples).toBe(96_000);
  });

  const still = () => clips.make('still.png', ['-f', 'lavfi', '-i', 'color=gray:s=64x48', '-frames:v', '1']);

  async function before(wav: string): Promise<number> {
    return r128(['-i', wav]).loudness;
  }

  async function measured(name: string, samples: Int16Array) {
    const path = await clips.bytes(name, Buffer.from(samples.buffer));
    return r128(['-f', 's16le', '-ar', String(PCM_RATE), '-ac', '1', '-i', path]);
  }
});

function r128(input: readonly string[]): { loudness: number; truePeak: number } {
  const command = `ffmpeg -hide_banner -nostats ${input.map((word) => `'${word}'`).join(' ')} -af ebur128=peak=true -f null - 2>&1`;
  const log = execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' });
  const summary = log.slice(log.lastIndexOf('Integrated loudness'));
  return {
    loudness: Number(/I:\s*(\S+) LUFS/.exec(summary)?.[1]),
    truePeak: Number(/Peak:\s*(\S+) dBFS/.exec(summary)?.[1]),
  };
}

/** @returns The peak of the middle part, where filters have settled, in dBFS. */
function peakDb(samples: Int16Array): number {
  const middle = samples.subarray(Math.floor(samples.length * 0.2), Math.floor(samples.length * 0.8));
  let peak = 0;
  for (const sample of middle) peak = Math.max(peak, Math.abs(sample));
  return 20 * Math.log10(peak / 32_768);
}

function longestSilenceMs(samples: Int16Array): number {
  let [longest, run] = [0, 0];
  for (const sample of samples) {
    run = Math.abs(sample) <= 3 ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return (longest * 1000) / PCM_RATE;
}
