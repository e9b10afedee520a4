import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack, StackProcess } from '@humancast/testkit';
import { Redis } from 'ioredis';

/** The stack to break, and its viewers. */
export interface FaultScene {
  readonly stack: Stack;
  /** Closes up to `count` viewers, with or without `leave`, and opens others instead. */
  replaceViewers(count: number, options: { silently: boolean }): void;
  /** Called before a process is ended on purpose; any other end is a crash. */
  expectEnd(process: StackProcess): void;
  /** Restarts a process that has ended. */
  revive(process: StackProcess): Promise<void>;
}

/** A fault. `run` resolves when it is mended; viewers may still be recovering. */
export interface Fault<Scene extends FaultScene = FaultScene> {
  readonly name: string;
  /** Whether the old host may still send when the new one starts: a planned hand-over is make-before-break. */
  readonly overlaps: boolean;
  /** Whether media is delayed meanwhile. */
  readonly delaysMedia?: boolean;
  run(scene: Scene): Promise<void>;
}

const FREEZE_MS = 3500;
const QUEUE_DOWN_MS = 1500;
const SLOW_MS = 2000;
const FULL_MS = 2000;
const REFRESHED = 3;
/** Attempts, one a second: longer than the longest concurrent fault. */
const DRAIN_ATTEMPTS = 45;

/**
 * Retries during another fault: signaling may be unable to drain (503), or not know a media-sender (404) that is cut off
 * from redis-queue.
 */
async function drain({ signalingUrl, apiKey }: Stack, sender: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await fetch(`${signalingUrl}/v1/senders/${sender}/drain`, { method: 'POST', headers });
    if (response.status === 202) return;
    const answer = `drain: ${response.status} ${await response.text()}`;
    const mayPass = response.status === 503 || response.status === 404;
    if (!mayPass || attempt === DRAIN_ATTEMPTS) throw new Error(answer);
    await sleep(1000);
  }
}

export const FAULTS = {
  killSender: fault('a media-sender is killed', false, async (scene) => {
    await restart(scene, await busiestSender(scene.stack), 'SIGKILL');
  }),
  freezeSender: fault('a media-sender is frozen and resumes', false, async ({ stack }) => {
    const victim = await busiestSender(stack);
    victim.signal('SIGSTOP');
    await sleep(FREEZE_MS);
    victim.signal('SIGCONT');
    await sleep(1000);
  }),
  stopSender: fault('a media-sender receives SIGTERM', true, async (scene) => {
    await restart(scene, await busiestSender(scene.stack), 'SIGTERM');
  }),
  drainSender: fault('a media-sender is drained and replaced', true, async (scene) => {
    const { stack } = scene;
    const victim = await busiestSender(stack);
    const id = senderIdOf(victim);
    await drain(stack, id);
    await sleep(2000);
    await restart(scene, victim, 'SIGKILL');
  }),
  killSignaling: fault('a signaling process is killed', false, (scene) => replace(scene, 'signaling', 'SIGKILL')),
  stopSignaling: fault('a signaling process restarts', false, (scene) => replace(scene, 'signaling', 'SIGTERM')),
  killBoth: fault('a media-sender and a signaling process are killed at once', false, async (scene) => {
    await Promise.all([FAULTS.killSender.run(scene), FAULTS.killSignaling.run(scene)]);
  }),
  killLoader: fault('the segment-loader is killed during a load', false, async (scene) => {
    const { stack } = scene;
    const form = new FormData();
    form.set('file', new Blob([new Uint8Array(100_000)]), 'half.mp4');
    const upload = fetch(`${stack.loaderUrl}/v1/segments?avatar=chaos`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}` },
      body: form,
    }).catch(() => {});
    await replace(scene, 'segment-loader', 'SIGKILL');
    await upload;
  }),
  restartQueueRedis: fault('redis-queue restarts', false, async ({ stack }) => {
    await stack.redisQueue.kill();
    await sleep(QUEUE_DOWN_MS);
    await stack.redisQueue.restart();
  }),
  slowQueueRedis: fault('redis-queue hangs', false, ({ stack }) => pause(stack.redisQueue.url)),
  fullQueueRedis: fault('redis-queue is full', false, async ({ stack }) => {
    await withRedis(stack.redisQueue.url, async (redis) => {
      const [, before = '0'] = (await redis.config('GET', 'maxmemory')) as string[];
      await redis.config('SET', 'maxmemory', '1');
      await sleep(FULL_MS);
      await redis.config('SET', 'maxmemory', before);
    });
  }),
  restartMediaRedis: fault('redis-media restarts, empty', false, ({ stack }) => stack.redisMedia.restart()),
  slowMediaRedis: fault('redis-media hangs', false, ({ stack }) => pause(stack.redisMedia.url)),
  restartTurn: fault('coturn restarts', false, async ({ stack }) => {
    await stack.turn?.restart();
  }),
  refreshPages: fault('viewers reload their pages', false, async (scene) => {
    scene.replaceViewers(REFRESHED, { silently: false });
  }),
  loseViewers: fault('viewers disappear without leaving, and new ones join', false, async (scene) => {
    scene.replaceViewers(REFRESHED, { silently: true });
  }),
} satisfies Record<string, Fault>;

function fault(name: string, overlaps: boolean, run: (scene: FaultScene) => Promise<void>): Fault {
  return { name, overlaps, run };
}

/** @returns the media-sender with the most sessions. */
async function busiestSender(stack: Stack): Promise<StackProcess> {
  const senders = stack.processes.filter(({ name }) => name === 'media-sender');
  const viewers = await Promise.all(senders.map((sender) => gauge(sender, 'humancast_sender_viewers')));
  const busiest = senders[viewers.indexOf(Math.max(...viewers))];
  if (!busiest) throw new Error('no media-sender is running');
  return busiest;
}

async function gauge({ metricsUrl }: StackProcess, name: string): Promise<number> {
  const text = await fetch(`${metricsUrl}/metrics`).then(
    (response) => response.text(),
    () => '',
  );
  return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1] ?? -1);
}

function senderIdOf(sender: StackProcess): string {
  const id = /"sender":"(snd_[^"]+)"/.exec(sender.log())?.[1];
  if (id === undefined) throw new Error('the media-sender has not reported its id');
  return id;
}

async function replace(scene: FaultScene, name: string, signal: NodeJS.Signals): Promise<void> {
  const victim = scene.stack.processes.find((process) => process.name === name);
  if (!victim) throw new Error(`no ${name} is running`);
  await restart(scene, victim, signal);
}

/** Ends a process on purpose, and starts another instead. */
async function restart(scene: FaultScene, victim: StackProcess, signal: NodeJS.Signals): Promise<void> {
  scene.expectEnd(victim);
  victim.signal(signal);
  await victim.ended;
  await scene.revive(victim);
}

/** Blocks every client, as a slow disk or a fork would. */
async function pause(url: string): Promise<void> {
  await withRedis(url, async (redis) => {
    await redis.client('PAUSE', SLOW_MS, 'ALL');
  });
  await sleep(SLOW_MS);
}

export async function withRedis(url: string, use: (redis: Redis) => Promise<void>): Promise<void> {
  const redis = new Redis(url);
  redis.on('error', () => {});
  try {
    await use(redis);
  } finally {
    redis.disconnect();
  }
}
