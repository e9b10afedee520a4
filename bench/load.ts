/**
 * Measures how fast the segment-loader makes a file playable: media seconds per second of CPU, of ffmpeg and the service
 * together, for 720p30 input, VP8 and PCM output, into a real Redis, through the public upload API. Once with the default
 * ladder of renditions, once with its largest alone; and the time until it can be played, and until its ladder is whole.
 *
 *     npm run build && npm run bench:load
 *
 * Two clips of 20 s are made at run time, H.264 and AAC as a model or a phone writes them:
 * - `talking`: the demo avatar's face on a still background with camera grain, the typical input;
 * - `busy`: a zoom into a fractal beside a moving test pattern, every pixel new in every frame, the worst case.
 *
 * Prints a line of text for each and one of JSON; fails if the talking face with the ladder misses its target. CPU of children
 * is read from /proc: Linux only.
 */
import { openAsBlob } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { BenchLoader, CLIPS, cpuSecondsOf, makeTestClip } from './lib/bench-loader.ts';

const SECONDS = 20;
const RUNS = 3;
/** Times real time per core, of the talking face with the ladder. */
const TARGET = 2.5;

const loader = await BenchLoader.start();
try {
  const results: object[] = [];
  for (const [clip, inputs] of Object.entries(CLIPS)) {
    const path = join(loader.folder, `${clip}.mp4`);
    await makeTestClip(inputs, SECONDS, path);
    const file = await openAsBlob(path);
    for (const avatar of ['ladder', 'single'] as const) {
      const cost = await loader.medianLoad(
        RUNS,
        async () => {
          const body = new FormData();
          body.set('file', file, `${clip}.mp4`);
          return body;
        },
        avatar,
      );
      const { mediaSeconds, wallSeconds, wholeSeconds, ffmpegCpuSeconds, serviceCpuSeconds } = cost;
      const timesRealTimePerCore = mediaSeconds / cpuSecondsOf(cost);
      if (clip === 'talking' && avatar === 'ladder' && timesRealTimePerCore < TARGET) process.exitCode = 1;
      const timesRealTime = mediaSeconds / wallSeconds;
      results.push({
        clip,
        renditions: avatar,
        sourceBytes: file.size,
        timesRealTimePerCore,
        timesRealTime,
        wallSeconds,
        wholeSeconds,
        ffmpegCpuSeconds,
        serviceCpuSeconds,
      });
      console.log(
        `${clip}, ${avatar}: ${timesRealTimePerCore.toFixed(1)} × real time per core ` +
          `(ready after ${wallSeconds.toFixed(1)} s, whole after ${wholeSeconds.toFixed(1)} s; ffmpeg ${ffmpegCpuSeconds.toFixed(2)} s of CPU, ` +
          `service ${serviceCpuSeconds.toFixed(2)} s, for ${SECONDS} s; source ${(file.size / 1e6).toFixed(1)} MB)`,
      );
    }
  }
  console.log(JSON.stringify({ cpu: cpus()[0]?.model, load: loadavg(), seconds: SECONDS, runs: RUNS, results }));
} finally {
  await loader.close();
}
