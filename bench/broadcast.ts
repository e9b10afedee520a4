/**
 * Measures one session on several media-senders: whether all viewers get the same frames at the same time, and what they notice
 * when the session's host is killed.
 *
 *     npm run build && npm run bench:broadcast [-- --viewers 60] [--senders 3] [--json FILE]
 *
 * Headless viewers in this process watch a speaking session through coturn, so its own delays are included. Takes about a
 * minute; exits with 1 if an aim is missed.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { keys } from '@humancast/shared';
import { LightViewer, LOAD_ENV, makeBusyClip, makePlainClip, waitFor, withCleanup } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const MEASURED_MS = 15_000;
const AFTER_KILL_MS = 8000;
const RAMP_MS = 100;
const FRAME_MS = 40;

/** Counts of a Redis and of a session's decisions. */
interface Counts {
  readonly commands: number;
  readonly entries: number;
}

/** @returns The counts, and the mean size of an entry in memory, bytes. */
async function countsOf(redis: Redis, session: string): Promise<Counts & { entryBytes: number }> {
  const key = keys.sessionDecisions(session);
  const [, commands] = /total_commands_processed:(\d+)/.exec(await redis.info('stats')) ?? [];
  const stream = (await redis.xinfo('STREAM', key)) as (string | number)[];
  const of = (name: string) => Number(stream[stream.indexOf(name) + 1]);
  const bytes = (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
  return { commands: Number(commands), entries: of('entries-added'), entryBytes: bytes / Math.max(1, of('length')) };
}

interface Watcher {
  readonly viewer: LightViewer;
  /** Arrival of each frame, by its digest. */
  readonly arrivals: Map<string, number>;
  readonly times: number[];
}

/** @returns The longest time between two frames since an instant, beyond the frame's own, ms. */
function longestGap({ times }: Watcher, sinceMs: number): number {
  const from = times.findLastIndex((ms) => ms <= sinceMs);
  const gaps = times.slice(Math.max(from, 0) + 1).map((ms, i) => ms - (times[Math.max(from, 0) + i] ?? ms));
  return Math.max(0, ...gaps) - FRAME_MS;
}

const { values } = parseArgs({
  options: {
    viewers: { type: 'string', default: '60' },
    senders: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
});
const machine = describeMachine();
const { figures, raw } = await withCleanup(async (cleanup) => {
  const count = Number(values.viewers);
  const senders = Number(values.senders);
  const mediaDir = temporaryFolder(cleanup);
  const clip = { fps: 1000 / FRAME_MS, size: '320x240' };
  await makePlainClip(join(mediaDir, 'bench/idle/idle.mov'), { ...clip, seconds: 3, color: 'gray' });
  await makeBusyClip(join(mediaDir, 'bench/segments/talk.mov'), { ...clip, seconds: 90 });
  const { stack, producer } = await openScene(cleanup, {
    senders,
    mediaDir,
    env: {
      RENDITIONS: 'vp8:vp8:320x240:500k',
      HOST_VIEWERS: String(Math.ceil(count / senders)),
      MAX_VIEWERS: String(count),
      ...LOAD_ENV,
    },
  });
  const session = await producer.createSession('bench');
  const talk = await producer.segmentNamed(session.id, 'talk');
  const watchers: Watcher[] = [];
  for (let i = 0; i < count; i++) {
    const arrivals = new Map<string, number>();
    const times: number[] = [];
    const viewer = new LightViewer({
      signalingUrls: [producer.signaling('')],
      session: session.id,
      token: session.token,
      digests: true,
      onFrame: ({ arrivedMs, digest }) => {
        times.push(arrivedMs);
        if (digest !== undefined && !arrivals.has(digest)) arrivals.set(digest, arrivedMs);
      },
    });
    cleanup.add(() => viewer.close());
    watchers.push({ viewer, arrivals, times });
    await sleep(RAMP_MS);
  }
  const playing = () => watchers.filter(({ viewer }) => viewer.playing).length;
  await waitFor(
    'all viewers play',
    async () => playing(),
    (is) => is === count,
    60_000,
  );
  const redis = new Redis(stack.redisQueue.url);
  cleanup.add(() => redis.disconnect());
  await producer.speak(session.id, [talk]);
  await sleep(3000);
  const fromMs = performance.now();
  const before = await countsOf(redis, session.id);
  await sleep(MEASURED_MS);
  const after = await countsOf(redis, session.id);
  const entriesPerSecond = (1000 * (after.entries - before.entries)) / MEASURED_MS;
  const [first, ...others] = watchers;
  const spreads = [...(first?.arrivals ?? [])].flatMap(([digest, atMs]) => {
    if (atMs < fromMs) return [];
    const all = [atMs, ...others.flatMap(({ arrivals }) => arrivals.get(digest) ?? [])];
    return all.length === count ? [Math.max(...all) - Math.min(...all)] : [];
  });
  const host = await producer.hostOf(session.id);
  const victim = stack.processes.find(
    ({ name, log }) => name === 'media-sender' && log().includes(`"sender":"${host}"`),
  );
  if (!victim) throw new Error('nobody hosts the session');
  const links = watchers.map(({ viewer }) => viewer.record.links.length);
  const killedMs = performance.now();
  victim.signal('SIGKILL');
  await victim.ended;
  await sleep(AFTER_KILL_MS);
  const isOwn = ({ viewer }: Watcher, i: number) => viewer.record.links.length > (links[i] ?? 0);
  const own = watchers.filter(isOwn).map((watcher) => longestGap(watcher, killedMs));
  const rest = watchers.filter((watcher, i) => !isOwn(watcher, i)).map((watcher) => longestGap(watcher, killedMs));
  const ms = { unit: 'ms', digits: 0 };
  const group = `${count} viewers of one session on ${senders} media-senders`;
  const killed = 'Its host is killed';
  return {
    figures: [
      { ...ms, group, name: 'the same frame, first to last viewer, p50', value: percentile(spreads, 0.5), digits: 1 },
      { ...ms, group, name: 'the same frame, first to last viewer, p99', value: percentile(spreads, 0.99), digits: 1 },
      {
        group,
        name: 'frames that all viewers got',
        value: spreads.length / (MEASURED_MS / FRAME_MS),
        unit: '',
        digits: 2,
      },
      {
        group,
        name: 'decisions, in the memory of Redis',
        aim: { atMost: 10 },
        value: (entriesPerSecond * after.entryBytes) / 1000,
        unit: 'kB/s',
        digits: 1,
      },
      {
        group,
        name: 'commands to redis-queue, of everything',
        value: (1000 * (after.commands - before.commands)) / MEASURED_MS,
        unit: '/s',
        digits: 0,
      },
      { group: killed, name: 'viewers of other media-senders', value: rest.length, unit: '', digits: 0 },
      { ...ms, group: killed, name: 'their longest wait for a frame', aim: { atMost: 200 }, value: Math.max(...rest) },
      { group: killed, name: 'its own viewers', value: own.length, unit: '', digits: 0 },
      {
        ...ms,
        group: killed,
        name: 'their longest wait for a frame, worst',
        aim: { atMost: 3000 },
        value: Math.max(...own),
      },
    ],
    raw: { spreads, own, rest },
  };
});
reportFigures({ bench: 'broadcast', machine, figures, raw, json: values.json });
