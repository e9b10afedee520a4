import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack, StackProcess } from '@humancast/testkit';
import { Redis } from 'ioredis';
import type { Crowd } from './crowd.ts';

/** Something that goes wrong. Resolves when what was broken is whole again; viewers may still be on their way back. */
export interface Fault {
  readonly name: string;
  /** Whether the old host may still be heard when the new one begins: a hand-over is make-before-break. */
  readonly overlaps: boolean;
  run(crowd: Crowd): Promise<void>;
}

const FREEZE_MS = 3500;
const QUEUE_DOWN_MS = 1500;
const SLOW_MS = 2000;
const FULL_MS = 2000;
const REFRESHED = 3;

export const FAULTS = {
  killSender: fault('a media-sender is killed', false, async ({ stack }) => {
    const victim = await busiestSender(stack);
    victim.signal('SIGKILL');
    await victim.ended;
    await stack.revive(victim);
  }),
  freezeSender: fault('a media-sender is frozen, and thaws', false, async ({ stack }) => {
    const victim = await busiestSender(stack);
    victim.signal('SIGSTOP');
    await sleep(FREEZE_MS);
    victim.signal('SIGCONT');
    await sleep(1000);
  }),
  stopSender: fault('a media-sender is told to stop', true, async ({ stack }) => {
    const victim = await busiestSender(stack);
    victim.signal('SIGTERM');
    await victim.ended;
    await stack.revive(victim);
  }),
  drainSender: fault('a media-sender is drained, and then replaced', true, async ({ stack }) => {
    const victim = await busiestSender(stack);
    const id = senderIdOf(victim);
    const response = await fetch(`${stack.signalingUrl}/v1/senders/${id}/drain`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}` },
    });
    if (response.status !== 202) throw new Error(`drain: ${response.status} ${await response.text()}`);
    await sleep(2000);
    victim.signal('SIGKILL');
    await victim.ended;
    await stack.revive(victim);
  }),
  killSignaling: fault('a signaling process is killed', false, ({ stack }) => replace(stack, 'signaling', 'SIGKILL')),
  stopSignaling: fault('a signaling process restarts', false, ({ stack }) => replace(stack, 'signaling', 'SIGTERM')),
  killBoth: fault('a media-sender and a signaling process are killed at once', false, async (crowd) => {
    await Promise.all([FAULTS.killSender.run(crowd), FAULTS.killSignaling.run(crowd)]);
  }),
  killLoader: fault('the segment-loader is killed in the middle of a load', false, async ({ stack }) => {
    const form = new FormData();
    form.set('file', new Blob([new Uint8Array(100_000)]), 'half.mp4');
    const upload = fetch(`${stack.loaderUrl}/v1/segments?avatar=chaos`, {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}` },
      body: form,
    }).catch(() => {});
    await replace(stack, 'segment-loader', 'SIGKILL');
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
      await redis.config('SET', 'maxmemory', '1');
      await sleep(FULL_MS);
      await redis.config('SET', 'maxmemory', '0');
    });
  }),
  restartMediaRedis: fault('redis-media restarts, empty', false, ({ stack }) => stack.redisMedia.restart()),
  slowMediaRedis: fault('redis-media hangs', false, ({ stack }) => pause(stack.redisMedia.url)),
  restartTurn: fault('coturn restarts', false, async ({ stack }) => {
    await stack.turn?.restart();
  }),
  refreshPages: fault('viewers refresh their pages', false, async (crowd) => {
    for (const seat of crowd.seats.slice(0, REFRESHED)) {
      seat.viewer.close();
      seat.viewer = crowd.open(seat.session, seat.played);
    }
  }),
  loseViewers: fault('viewers vanish without a word, and come back as others', false, async (crowd) => {
    for (const seat of crowd.seats.slice(0, REFRESHED)) {
      seat.viewer.close({ silently: true });
      seat.viewer = crowd.open(seat.session, seat.played);
    }
  }),
} satisfies Record<string, Fault>;

function fault(name: string, overlaps: boolean, run: (crowd: Crowd) => Promise<void>): Fault {
  return { name, overlaps, run };
}

/** The one that plays the most. */
async function busiestSender(stack: Stack): Promise<StackProcess> {
  const senders = stack.processes.filter(({ name }) => name === 'media-sender');
  const viewers = await Promise.all(senders.map((sender) => gauge(sender, 'humancast_sender_viewers')));
  const busiest = senders[viewers.indexOf(Math.max(...viewers))];
  if (!busiest) throw new Error('there is no media-sender');
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
  if (id === undefined) throw new Error('the media-sender has not said who it is');
  return id;
}

async function replace(stack: Stack, name: string, signal: NodeJS.Signals): Promise<void> {
  const victim = stack.processes.find((process) => process.name === name);
  if (!victim) throw new Error(`there is no ${name}`);
  victim.signal(signal);
  await victim.ended;
  await stack.revive(victim);
}

/** Every client waits, as when the disk or a fork holds the server up. */
async function pause(url: string): Promise<void> {
  await withRedis(url, async (redis) => {
    await redis.client('PAUSE', SLOW_MS, 'ALL');
  });
  await sleep(SLOW_MS);
}

async function withRedis(url: string, use: (redis: Redis) => Promise<void>): Promise<void> {
  const redis = new Redis(url);
  redis.on('error', () => {});
  try {
    await use(redis);
  } finally {
    redis.disconnect();
  }
}
