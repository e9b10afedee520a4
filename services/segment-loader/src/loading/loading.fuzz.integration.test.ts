import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RenditionConfig } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { expect, it } from 'vitest';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const TINY: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 64, maxHeight: 64, bitrateBps: 100_000 };
/** Time limit of a load, far above what a file of this size takes on a busy machine. */
const HANGS_AFTER_MS = 60_000;
const BUDGET = { runs: 100, seconds: 240 };

const MPEG4 = ['-c:v', 'mpeg4', '-c:a', 'mp2'];
const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
/** Small real files, one per container. */
const CORPUS: readonly (readonly [name: string, output: readonly string[]])[] = [
  ['a.mp4', H264],
  ['fragmented.mp4', [...H264, '-movflags', '+frag_keyframe+empty_moov']],
  ['a.mov', ['-c:v', 'mjpeg', '-c:a', 'pcm_s16le', '-ar', '8000']],
  ['a.mkv', H264],
  ['a.webm', ['-c:v', 'libvpx', '-deadline', 'realtime', '-c:a', 'libopus']],
  ['a.avi', MPEG4],
  ['a.ts', H264],
  ['a.vob', ['-f', 'vob', '-c:v', 'mpeg2video', '-c:a', 'mp2', '-b:a', '32k']],
  ['a.flv', ['-c:v', 'flv1', '-c:a', 'mp3', '-ar', '22050']],
  ['a.ogv', ['-c:v', 'libtheora', '-c:a', 'libvorbis']],
  ['a.wmv', ['-c:v', 'wmv2', '-c:a', 'wmav2']],
  ['a.nut', MPEG4],
  ['a.gif', ['-an']],
  ['a.png', ['-an', '-f', 'apng']],
  ['a.jpg', ['-an', '-frames:v', '1']],
  ['a.webp', ['-an', '-frames:v', '1', '-c:v', 'libwebp']],
  ['a.y4m', ['-an', '-vf', 'fps=5,scale=32:32', '-pix_fmt', 'yuv420p']],
  ['a.wav', ['-vn', '-ar', '8000', '-ac', '1']],
  ['a.mp3', ['-vn', '-b:a', '32k']],
  ['a.flac', ['-vn', '-ar', '8000', '-ac', '1']],
];
const AUDIO_ONLY = /\.(wav|mp3|flac)$/;

const fixture = useLoaderFixture();
const { clips } = fixture;

it(
  'a broken file of any container is loaded or rejected, without a 5xx, a hang or leftovers',
  async () => {
    const corpus = await Promise.all(
      CORPUS.map(async ([name, output]) =>
        readFile(await clips.test(name, { seconds: 1, size: '64x48', fps: '10', output })),
      ),
    );
    const audioFiles = corpus.filter((_, i) => AUDIO_ONLY.test(CORPUS[i]?.[0] ?? ''));
    const isAudio = (input: Buffer) => audioFiles.some((audio) => audio.subarray(0, 4).equals(input.subarray(0, 4)));
    const image = await clips.make('image.png', ['-f', 'lavfi', '-i', 'color=s=64x64', '-frames:v', '1']);
    const path = join(clips.folder, 'broken');
    const files = (await readdir(clips.folder)).length + 1;
    const outcomes = new Map<string, number>();
    // Lazily created objects exist after the first load.
    await load([image]);
    const before = await holdings();
    const { runs } = await fuzz({ corpus, ...BUDGET }, async (input) => {
      await writeFile(path, input);
      const outcome = await load(isAudio(input) ? [image, path] : [path]);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    });
    console.log(`fuzz: ${runs} files: ${JSON.stringify(Object.fromEntries(outcomes))}`);
    expect(runs).toBeGreaterThan(10);
    expect(outcomes.get('loaded')).toBeGreaterThan(0);
    const after = await holdings();
    expect(after.children).toEqual(before.children);
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 2);
    expect(after.rssBytes - before.rssBytes).toBeLessThan(300 * 2 ** 20);
    expect(await readdir(clips.folder)).toHaveLength(files);
    expect(await fixture.keyCount()).toBe(0);
  },
  fuzzTimeoutMs(BUDGET),
);

/** @returns `loaded`, or the code of a rejection. @throws any error that is not a rejection. */
async function load(paths: readonly string[]): Promise<string> {
  const signal = AbortSignal.timeout(HANGS_AFTER_MS);
  try {
    const media = ([video = -1, audio]: readonly number[]) => ({ video, audio });
    await fixture.load(paths, media, { renditions: [TINY], maxDurationSeconds: 60, signal });
    return 'loaded';
  } catch (error) {
    if (error instanceof HumancastError && error.status < 500) return error.code;
    throw error;
  } finally {
    await fixture.redis.flushall();
  }
}

/** @returns What this process holds: child processes (proc(5)), open descriptors, memory. */
async function holdings(): Promise<{ children: string[]; descriptors: number; rssBytes: number }> {
  const tasks = await readdir('/proc/self/task');
  const children = await Promise.all(
    tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8').catch(() => '')),
  );
  return {
    children: children.flatMap((list) => list.split(' ').filter(Boolean)).sort(),
    descriptors: (await readdir('/proc/self/fd')).length,
    rssBytes: process.memoryUsage.rss(),
  };
}
