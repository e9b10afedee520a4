import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Cleanup,
  FuzzRandom,
  makeBusyClip,
  makePlainClip,
  type PlacedProcess,
  type Placement,
  Producer,
  redisUrlFor,
  type Stack,
  type StackProcess,
  startStack,
} from '@humancast/testkit';
import { Clocks } from './clocks.ts';
import { clockOf, type HardScene } from './hard-faults.ts';
import type { History } from './history.ts';
import { Network } from './network.ts';
import { SmallDisk } from './small-disk.ts';
import { Actor } from './workload/actor.ts';
import { Catalog } from './workload/catalog.ts';
import { Commands } from './workload/commands.ts';
import { Deleter } from './workload/deleter.ts';

export const FPS = 25;
const AVATAR = 'faults';
const SIZE = '160x120';
/** Size of the disk for hours of the append-only file, in memory. */
const QUEUE_DISK_MB = 256;
const LOADER_DISK_MB = 128;
const REVIVE_MS = 90_000;
const [FIRST_PAUSE_MS, LAST_PAUSE_MS] = [500, 5000];
const CRASH_LOG_LINES = 12;

export interface HardSceneOptions {
  readonly seed: number;
  readonly sessions: number;
  readonly senders: number;
  /** Number of segments; a session speaks each once. */
  readonly segments: number;
  /** Whether a media-sender serves only one viewer of a session that it hosts, so that others follow. */
  readonly spread: boolean;
  readonly history: History;
}

/** A running stack with sessions, on a network, disks and clocks that the tool controls. */
export interface RunningScene extends HardScene {
  readonly actors: readonly Actor[];
  readonly nowMs: () => number;
  /** Lets everyone finish the queued segments and leave, until no session is left. */
  stop(): Promise<void>;
}

export async function openHardScene(cleanup: Cleanup, options: HardSceneOptions): Promise<RunningScene> {
  const { seed, sessions, senders, segments, spread, history } = options;
  const random = new FuzzRandom(seed ^ 0x5eed);
  const folder = mkdtempSync(join(tmpdir(), 'humancast-faults-'));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const within = (name: string) => {
    mkdirSync(join(folder, name), { recursive: true });
    return join(folder, name);
  };
  const queueDisk = await SmallDisk.mount(within('redis-queue'), QUEUE_DISK_MB);
  cleanup.add(() => queueDisk.close());
  const loaderDisk = await SmallDisk.mount(within('loader'), LOADER_DISK_MB);
  cleanup.add(() => loaderDisk.close());
  const clocks = new Clocks(within('clocks'));
  const network = new Network();
  cleanup.add(() => network.close());
  await makeClips(within('media'), segments);
  const place = async (process: PlacedProcess): Promise<Placement> => {
    const { name, instance, redisQueue, redisMedia } = process;
    const link = { service: name, instance };
    const queue = await network.open({ ...link, redis: 'queue' }, redisQueue.port);
    const media = await network.open({ ...link, redis: 'media' }, redisMedia.port);
    const env = { REDIS_QUEUE_URL: redisUrlFor(name, queue), REDIS_MEDIA_URL: redisUrlFor(name, media) };
    if (name !== 'segment-loader') return { env: { ...env, ...clocks.environment(clockOf(process)) } };
    const [scratch, archive] = [join(folder, 'loader'), join(folder, 'loader/archive')];
    return { env: { ...env, SCRATCH_DIR: scratch, ARCHIVE_DIR: archive }, prefix: loaderDisk.prefix };
  };
  const stack = await startStack({
    senders,
    signalings: 2,
    mediaDir: within('media'),
    place,
    redisQueue: { dir: join(folder, 'redis-queue'), prefix: queueDisk.prefix },
    env: {
      MAX_SESSIONS: String(sessions + 2),
      RENDITIONS: `vp8:vp8:${SIZE}:200k`,
      ...(spread && { HOST_VIEWERS: '1' }),
      // All viewers and producers share one address and one key.
      ...GENEROUS_LIMITS,
    },
  });
  cleanup.add((failed) => {
    if (failed) for (const { name, log } of stack.processes) console.error(`--- ${name}\n${lastLines(log())}`);
    return stack.stop();
  });
  const originMs = performance.now();
  const nowMs = () => Math.round(performance.now() - originMs);
  const catalog = new Catalog(stack.redisMedia.url, history);
  const ids = await loadedSegments(stack, segments);
  for (const id of ids) await catalog.add(id);
  const commands = new Commands({ stack, history, random, nowMs });
  const common = { stack, avatar: AVATAR, segments: ids, commands, catalog, history, random, originMs };
  const actors = Array.from({ length: sessions }, (_, number) => new Actor({ ...common, number }));
  const deleter = new Deleter({ actors, avatar: AVATAR, commands, catalog, random, folder: within('clips') });
  const supervisor = new Supervisor(stack, history, nowMs);
  cleanup.add(() => supervisor.stop());
  return {
    stack,
    network,
    clocks,
    queueDisk,
    loaderDisk,
    actors,
    nowMs,
    expectEnd: (process) => supervisor.expectEnd(process),
    revive: (process) => supervisor.revive(process),
    replaceViewers: (count, viewers) => {
      for (const actor of actors.slice(0, count)) actor.replaceViewer(viewers);
    },
    async stop() {
      await deleter.stop();
      await Promise.all(actors.map((actor) => actor.stop()));
    },
  };
}

const GENEROUS_LIMITS: Readonly<Record<string, string>> = {
  CONNECTS_PER_MINUTE: '1000000',
  TURN_USERS_PER_HOUR: '1000000',
  TURN_USERS_PER_KEY_PER_HOUR: '1000000',
  INTERRUPTS_PER_MINUTE: '1000000',
};

async function makeClips(mediaDir: string, segments: number): Promise<void> {
  const clip = { fps: FPS, size: SIZE };
  await makePlainClip(join(mediaDir, AVATAR, 'idle/idle.mov'), { ...clip, seconds: 3, color: 'gray' });
  for (let i = 0; i < segments; i++) {
    const seconds = 1.2 + 0.4 * (i % 5);
    await makeBusyClip(join(mediaDir, AVATAR, `segments/talk-${i}-.mov`), { ...clip, seconds, seed: i + 1 });
  }
}

async function loadedSegments(stack: Stack, count: number): Promise<string[]> {
  const producer = new Producer(stack);
  const session = await producer.createSession(AVATAR);
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push(await producer.segmentNamed(session.id, `talk-${i}-`));
  await producer.endSession(session.id);
  return ids;
}

/**
 * Restarts processes that have ended, like a supervisor, with growing pauses until they are ready. A process that was ready
 * and ended unexpectedly is recorded as a crash.
 */
class Supervisor {
  readonly #stack: Stack;
  readonly #history: History;
  readonly #nowMs: () => number;
  readonly #expected = new Set<StackProcess>();
  readonly #watched = new Set<StackProcess>();
  #stopped = false;

  constructor(stack: Stack, history: History, nowMs: () => number) {
    this.#stack = stack;
    this.#history = history;
    this.#nowMs = nowMs;
    for (const process of stack.processes) this.#watch(process);
  }

  expectEnd(process: StackProcess): void {
    this.#expected.add(process);
  }

  /** @throws Error if it is not ready within a minute after every fault should be mended. */
  async revive(ended: StackProcess): Promise<void> {
    const { name, instance } = ended;
    const untilMs = performance.now() + REVIVE_MS;
    let last = ended;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
      try {
        this.#watch(await this.#stack.revive(last));
        return;
      } catch (error) {
        if (this.#stopped || performance.now() > untilMs) throw error;
        const started = this.#stack.processes.find((other) => other.name === name && other.instance === instance);
        if (!started || started === last) throw error;
        last = started;
        last.signal('SIGKILL');
        await last.ended;
        await sleep(pauseMs);
      }
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #watch(process: StackProcess): void {
    if (this.#watched.has(process)) return;
    this.#watched.add(process);
    void process.ended.then(async () => {
      if (this.#stopped || this.#expected.has(process)) return;
      const log = lastLines(process.log(), CRASH_LOG_LINES);
      this.#history.add({ type: 'crash', process: clockOf(process), atMs: this.#nowMs(), log });
      await this.revive(process).catch(() => {});
    });
  }
}

function lastLines(log: string, count = 20): string {
  return log.split('\n').slice(-count).join('\n');
}
