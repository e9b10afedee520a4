import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Segment } from '@humancast/protocol';
import { startSegmentLoader } from '@humancast/segment-loader';
import { createLogger, loadConfig, loaderSettings } from '@humancast/shared';
import { startRedis } from '@humancast/testkit';

const POLL_MS = 100;
const GRAIN = 'noise=alls=3:allf=t';

/** ffmpeg's inputs and a filter graph that ends in `[v]`; audio is added to each. */
export const CLIPS: Readonly<Record<'talking' | 'busy', readonly string[]>> = {
  talking: [
    '-stream_loop',
    '-1',
    '-i',
    new URL('../../media/demo/segments/welcome.mp4', import.meta.url).pathname,
    '-filter_complex',
    `[0:v]scale=720:720,pad=1280:720:280:0:color=0x20242c,fps=30,${GRAIN}[v]`,
  ],
  busy: [
    '-f',
    'lavfi',
    '-i',
    'mandelbrot=s=960x720:r=30',
    '-f',
    'lavfi',
    '-i',
    'testsrc2=s=320x720:r=30',
    '-filter_complex',
    `[0:v][1:v]hstack,${GRAIN}[v]`,
  ],
};

/** H.264 and AAC, as a model or a phone writes them. */
export async function makeTestClip(inputs: readonly string[], seconds: number, path: string): Promise<void> {
  const audio = ['-f', 'lavfi', '-i', 'sine=220:r=48000'];
  const soundInput = inputs.filter((argument) => argument === '-i').length;
  const encoding = ['-c:v', 'libx264', '-preset', 'fast', '-crf', '21', '-pix_fmt', 'yuv420p', '-c:a', 'aac'];
  const graphAt = inputs.indexOf('-filter_complex');
  await promisify(execFile)('ffmpeg', [
    '-v',
    'error',
    '-y',
    ...inputs.slice(0, graphAt),
    ...audio,
    ...inputs.slice(graphAt),
    '-map',
    '[v]',
    '-map',
    `${soundInput}:a`,
    '-t',
    String(seconds),
    ...encoding,
    path,
  ]);
}

/** An avatar with the default ladder of renditions, and one with its largest alone. */
const AVATARS = {
  ladder: {},
  single: { renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 1_500_000 }] },
};
export type BenchAvatar = keyof typeof AVATARS;

export interface LoadCost {
  /** Duration of the segment, s. */
  readonly mediaSeconds: number;
  /** Time until the segment can be played. */
  readonly wallSeconds: number;
  /** Time until all its renditions are there. */
  readonly wholeSeconds: number;
  readonly ffmpegCpuSeconds: number;
  readonly serviceCpuSeconds: number;
}

export const cpuSecondsOf = ({ ffmpegCpuSeconds, serviceCpuSeconds }: LoadCost): number =>
  ffmpegCpuSeconds + serviceCpuSeconds;

/** A segment-loader in this process, with its own Redis and folder. */
export class BenchLoader {
  readonly folder: string;
  readonly #url: string;
  readonly #close: () => Promise<void>;

  private constructor(folder: string, url: string, close: () => Promise<void>) {
    this.folder = folder;
    this.#url = url;
    this.#close = close;
  }

  static async start(): Promise<BenchLoader> {
    const folder = mkdtempSync(join(tmpdir(), 'humancast-bench-load-'));
    const redis = await startRedis();
    const config = loadConfig(loaderSettings, {
      REDIS_QUEUE_URL: redis.url,
      REDIS_MEDIA_URL: redis.url,
      HUMANCAST_API_KEY: 'bench',
      LOADER_PORT: '0',
      LOADER_METRICS_PORT: '0',
      BIND_ADDRESS: '127.0.0.1',
      MEDIA_DIR: join(folder, 'media'),
    });
    const service = await startSegmentLoader(config, createLogger('bench', 'error'));
    const url = `http://127.0.0.1:${service.port}`;
    const headers = { authorization: 'Bearer bench', 'content-type': 'application/json' };
    for (const [avatar, settings] of Object.entries(AVATARS)) {
      await fetch(`${url}/v1/avatars/${avatar}`, { method: 'PUT', headers, body: JSON.stringify(settings) });
    }
    return new BenchLoader(folder, url, async () => {
      await service.close();
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  /** Uploads a file, waits until all its renditions are there, and measures the cost. @throws Error if it is rejected. */
  async load(body: FormData, avatar: BenchAvatar): Promise<LoadCost> {
    const before = { child: childCpuSeconds(), own: ownCpuSeconds(), ms: performance.now() };
    const headers = { authorization: 'Bearer bench' };
    const response = await fetch(`${this.#url}/v1/segments?avatar=${avatar}`, { method: 'POST', headers, body });
    let segment = (await response.json()) as Segment;
    if (response.status !== 201 || !segment.durationMs) throw new Error(JSON.stringify(segment));
    const wallSeconds = (performance.now() - before.ms) / 1000;
    while (segment.missingRenditions) {
      await sleep(POLL_MS);
      segment = (await (await fetch(`${this.#url}/v1/segments/${segment.id}`, { headers })).json()) as Segment;
      if (segment.missingRenditions?.some(({ failure }) => failure)) throw new Error(JSON.stringify(segment));
    }
    return {
      mediaSeconds: (segment.durationMs ?? 0) / 1000,
      wallSeconds,
      wholeSeconds: (performance.now() - before.ms) / 1000,
      ffmpegCpuSeconds: childCpuSeconds() - before.child,
      serviceCpuSeconds: ownCpuSeconds() - before.own,
    };
  }

  /** @returns the run of median cost. */
  async medianLoad(runs: number, body: () => Promise<FormData>, avatar: BenchAvatar = 'ladder'): Promise<LoadCost> {
    const costs: LoadCost[] = [];
    for (let run = 0; run < runs; run++) costs.push(await this.load(await body(), avatar));
    costs.sort((a, b) => cpuSecondsOf(a) - cpuSecondsOf(b));
    return costs[Math.floor(runs / 2)] as LoadCost;
  }

  close(): Promise<void> {
    return this.#close();
  }
}

/** @returns CPU seconds of all children that have ended: fields 16 and 17 of proc(5), in ticks of 10 ms. */
function childCpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
