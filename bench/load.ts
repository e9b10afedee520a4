/**
 * How fast the segment-loader makes a file playable: media seconds per second of CPU, ffmpeg's and the service's own together,
 * for 720p30 in, one VP8 rendition and PCM out, into a real Redis, through the public upload API.
 *
 *     npm run build && node bench/load.ts
 *
 * Two clips of 20 s, made at run time, H.264 and AAC as a model or a phone writes them:
 * - `talking`: the demo avatar's face on a still background, with a camera's grain; what the service is for;
 * - `busy`: a zoom into a fractal with a moving test picture beside it, every pixel new in every frame; as bad as it gets.
 *
 * Prints a line for people for each and one of JSON. CPU of children is read from /proc: Linux only.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, openAsBlob, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSegmentLoader } from '@humancast/segment-loader';
import { createLogger, loadConfig, loaderSettings } from '@humancast/shared';
import { startRedis } from '@humancast/testkit';

const SECONDS = 20;
const RUNS = 3;
const GRAIN = 'noise=alls=3:allf=t';

/** ffmpeg's inputs and graph, to `[v]`; sound is added to each. */
const CLIPS: Readonly<Record<string, readonly string[]>> = {
  talking: [
    ...['-stream_loop', '-1', '-i', new URL('../media/demo/segments/welcome.mp4', import.meta.url).pathname],
    ...['-filter_complex', `[0:v]scale=720:720,pad=1280:720:280:0:color=0x20242c,fps=30,${GRAIN}[v]`],
  ],
  busy: [
    ...['-f', 'lavfi', '-i', 'mandelbrot=s=960x720:r=30', '-f', 'lavfi', '-i', 'testsrc2=s=320x720:r=30'],
    ...['-filter_complex', `[0:v][1:v]hstack,${GRAIN}[v]`],
  ],
};

interface Result {
  clip: string;
  sourceBytes: number;
  timesRealTimePerCore: number;
  timesRealTime: number;
  ffmpegCpuSeconds: number;
  serviceCpuSeconds: number;
}

function makeClip(inputs: readonly string[], path: string): void {
  const sound = ['-f', 'lavfi', '-i', 'sine=220:r=48000'];
  const soundInput = inputs.filter((argument) => argument === '-i').length;
  const encoding = ['-c:v', 'libx264', '-preset', 'fast', '-crf', '21', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
  const graphAt = inputs.indexOf('-filter_complex');
  execFileSync('ffmpeg', [
    ...['-v', 'error', '-y', ...inputs.slice(0, graphAt), ...sound, ...inputs.slice(graphAt)],
    ...['-map', '[v]', '-map', `${soundInput}:a`, '-t', String(SECONDS), ...encoding, path],
  ]);
}

/** CPU seconds of all children that have ended: fields 16 and 17 of proc(5), in ticks of 10 ms. */
function childCpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function measure(clip: string, path: string, url: string): Promise<Result> {
  const runs: Result[] = [];
  for (let run = 0; run < RUNS; run++) {
    const body = new FormData();
    const file = await openAsBlob(path);
    body.set('file', file, `${clip}.mp4`);
    const before = { child: childCpuSeconds(), own: ownCpuSeconds(), ms: performance.now() };
    const response = await fetch(`${url}/v1/segments?avatar=bench`, {
      method: 'POST',
      headers: { authorization: 'Bearer bench' },
      body,
    });
    const segment = (await response.json()) as { durationMs?: number };
    if (response.status !== 201 || !segment.durationMs) throw new Error(JSON.stringify(segment));
    const mediaSeconds = segment.durationMs / 1000;
    const ffmpegCpuSeconds = childCpuSeconds() - before.child;
    const serviceCpuSeconds = ownCpuSeconds() - before.own;
    runs.push({
      clip,
      sourceBytes: file.size,
      timesRealTimePerCore: mediaSeconds / (ffmpegCpuSeconds + serviceCpuSeconds),
      timesRealTime: (1000 * mediaSeconds) / (performance.now() - before.ms),
      ffmpegCpuSeconds,
      serviceCpuSeconds,
    });
  }
  runs.sort((a, b) => a.timesRealTimePerCore - b.timesRealTimePerCore);
  return runs[Math.floor(RUNS / 2)] as Result;
}

const folder = mkdtempSync(join(tmpdir(), 'humancast-bench-load-'));
const redis = await startRedis();
const config = loadConfig(loaderSettings, {
  ...{ REDIS_QUEUE_URL: redis.url, REDIS_MEDIA_URL: redis.url, HUMANCAST_API_KEY: 'bench' },
  ...{ LOADER_PORT: '0', LOADER_METRICS_PORT: '0', BIND_ADDRESS: '127.0.0.1', MEDIA_DIR: join(folder, 'media') },
});
const service = await startSegmentLoader(config, createLogger('bench', 'error'));
try {
  const url = `http://127.0.0.1:${service.port}`;
  const headers = { authorization: 'Bearer bench', 'content-type': 'application/json' };
  await fetch(`${url}/v1/avatars/bench`, { method: 'PUT', headers, body: '{}' });
  const results: Result[] = [];
  for (const [clip, inputs] of Object.entries(CLIPS)) {
    const path = join(folder, `${clip}.mp4`);
    makeClip(inputs, path);
    const result = await measure(clip, path, url);
    results.push(result);
    console.log(
      `${clip}: ${result.timesRealTimePerCore.toFixed(1)} × real time per core ` +
        `(${result.timesRealTime.toFixed(1)} × by the clock; ffmpeg ${result.ffmpegCpuSeconds.toFixed(2)} s of CPU, ` +
        `service ${result.serviceCpuSeconds.toFixed(2)} s, for ${SECONDS} s; source ${(result.sourceBytes / 1e6).toFixed(1)} MB)`,
    );
  }
  console.log(JSON.stringify({ cpu: cpus()[0]?.model, seconds: SECONDS, runs: RUNS, results }));
} finally {
  await service.close();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
}
