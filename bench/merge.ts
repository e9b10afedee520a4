/**
 * Measures how fast the segment-loader merges inputs into one segment: media seconds per second of CPU, of ffmpeg and the
 * service together, through the public upload API, into a real Redis; 720p30 inputs, one VP8 rendition of 720p and PCM
 * output.
 *
 *     npm run build && node bench/merge.ts
 *
 * - `2x2`: a grid of four 720p30 inputs, H.264 and AAC, with all four audio tracks; the clips of `bench/load.ts` and two
 *   more like them;
 * - `keyed`: a green-screen clip over a background image.
 *
 * Prints a line of text for each and one of JSON. CPU of children is read from /proc: Linux only.
 */
import { execFileSync } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { BenchLoader, CLIPS, cpuSecondsOf, makeTestClip } from './lib/bench-loader.ts';

const SECONDS = 20;
const RUNS = 3;
const SIZE = { width: 1280, height: 720 };

/** A face on a green screen, with grain. */
const GREEN = [
  '-stream_loop',
  '-1',
  '-i',
  new URL('../media/demo/segments/welcome.mp4', import.meta.url).pathname,
  '-filter_complex',
  '[0:v]scale=480:480,pad=1280:720:400:240:color=0x00ff00,fps=30,noise=alls=3:allf=t[v]',
];

const loader = await BenchLoader.start();
try {
  const made = (name: string) => join(loader.folder, name);
  await makeTestClip(CLIPS.talking, SECONDS, made('talking.mp4'));
  await makeTestClip(CLIPS.busy, SECONDS, made('busy.mp4'));
  await makeTestClip(GREEN, SECONDS, made('green.mp4'));
  const still = ['-v', 'error', '-f', 'lavfi', '-i', 'gradients=s=1920x1080', '-frames:v', '1', made('studio.png')];
  execFileSync('ffmpeg', still);

  const grid = { a: 'talking.mp4', b: 'busy.mp4', c: 'talking.mp4', d: 'green.mp4' };
  const key = { color: '#00ff00' };
  const cases = {
    '2x2': {
      files: grid,
      composition: { ...SIZE, layout: 'grid', layers: Object.keys(grid).map((input) => ({ input })) },
    },
    keyed: {
      files: { studio: 'studio.png', face: 'green.mp4' },
      composition: { ...SIZE, layout: 'over-background', layers: [{ input: 'studio' }, { input: 'face', key }] },
    },
  };
  const results: object[] = [];
  for (const [name, { files, composition }] of Object.entries(cases)) {
    const cost = await loader.medianLoad(RUNS, async () => {
      const body = new FormData();
      body.set('composition', JSON.stringify(composition));
      for (const [input, file] of Object.entries(files)) body.set(input, await openAsBlob(made(file)), file);
      return body;
    });
    const timesRealTimePerCore = cost.mediaSeconds / cpuSecondsOf(cost);
    results.push({ name, timesRealTimePerCore, ...cost });
    console.log(
      `${name}: ${timesRealTimePerCore.toFixed(2)} × real time per core (${(cost.mediaSeconds / cost.wallSeconds).toFixed(2)} × ` +
        `by the clock; ffmpeg ${cost.ffmpegCpuSeconds.toFixed(2)} s of CPU, service ${cost.serviceCpuSeconds.toFixed(2)} s)`,
    );
  }
  console.log(JSON.stringify({ cpu: cpus()[0]?.model, seconds: SECONDS, runs: RUNS, results }));
} finally {
  await loader.close();
}
