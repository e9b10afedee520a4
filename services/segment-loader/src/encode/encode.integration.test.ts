import { execFileSync } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { videoTrack } from '../../testing/tracks.js';
import { type EncodeLimits, encode, type PartSink } from './encode.js';
import { fileJob } from './encode-job.js';
import { planEncode } from './encode-plan.js';

const settings = {
  renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 500_000 }],
  gopMs: 500,
  fps: undefined,
} as const;
const plan = planEncode(videoTrack({ width: 160, height: 120 }), undefined, settings);
const job = fileJob(plan, { maxPixels: 1e7, threads: 1 });
const LIMITS = { maxDurationSeconds: 60, stallMs: 60_000, totalMs: 60_000 };

/** Uses files that deliver nothing, and a store that fails. */
describe('encode()', () => {
  const clips = new Clips();
  let silent: FileHandle;
  let clip: FileHandle;
  beforeEach(async () => {
    const path = join(clips.folder, `pipe-${Math.random()}`);
    execFileSync('mkfifo', [path]);
    // Open for both, so that a reader waits for more instead of reaching the end.
    silent = await open(path, 'r+');
    clip = await open(await clips.test('clip.mp4', { output: ['-an', '-c:v', 'libx264', '-pix_fmt', 'yuv420p'] }));
  });
  afterEach(async () => {
    await Promise.all([silent.close(), clip.close()]);
  });
  afterAll(() => clips.remove());

  const nowhere: PartSink = { writeGop: () => Promise.resolve(), writePcm: () => Promise.resolve() };
  const run = (
    file: FileHandle,
    limits: Partial<EncodeLimits> = {},
    sink = nowhere,
    signal = new AbortController().signal,
  ) => encode(job, [file.fd], { ...LIMITS, ...limits }, sink, signal);

  it('stops an encoder that makes no progress', async () => {
    await expect(run(silent, { stallMs: 200 })).rejects.toMatchObject({
      code: 'media_undecodable',
      message: expect.stringContaining('produced no output') as string,
    });
  });

  it('stops an encoder that exceeds the total time limit', async () => {
    await expect(run(silent, { totalMs: 200 })).rejects.toMatchObject({
      code: 'media_undecodable',
      message: expect.stringContaining('took longer') as string,
    });
  });

  it('does not count back-pressure from the store as a stall of the encoder', async () => {
    const slow = () => new Promise<void>((resolve) => setTimeout(resolve, 2700));
    let written = 0;
    const sink = { ...nowhere, writeGop: () => (written++ === 0 ? slow() : Promise.resolve()) };
    expect((await run(clip, { stallMs: 2500 }, sink)).frames).toBe(60);
    expect(written).toBe(4);
  });

  it('rejects with the error of a store that fails, and writes no more', async () => {
    let written = 0;
    const sink = {
      ...nowhere,
      writeGop: () => (++written === 2 ? Promise.reject(new Error('full')) : Promise.resolve()),
    };
    await expect(run(clip, {}, sink)).rejects.toThrow('full');
    expect(written).toBe(2);
  });

  it('ends when it is canceled, before or while it runs', async () => {
    const abort = new AbortController();
    const running = run(silent, {}, nowhere, abort.signal);
    abort.abort(new Error('given up'));
    await expect(running).rejects.toThrow('given up');
    await expect(run(silent, {}, nowhere, abort.signal)).rejects.toThrow('given up');
  });
});
