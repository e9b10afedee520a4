/**
 * Measures what connections and sessions leave behind.
 *
 *     npm run build && node bench/churn.ts [--connects 20000] [--rate 250] [--sessions 500] [--json FILE]
 *
 * - WebSocket connects and disconnects, on signaling and on a minimal `ws` server: rejections, sockets in TIME_WAIT on the
 *   server's side, memory growth.
 * - Sessions that are created, watched until a viewer's first frame, and ended: growth of Redis keys, heap and open files of
 *   each process.
 *
 * Takes about 6 minutes, 2 of them until the records of ended sessions have expired; exits with 1 if an aim is missed.
 * Everything is on loopback, so both ends of a connection are in one table; the port identifies the server's side.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { LightViewer, LOAD_ENV, makePlainClip, type StackProcess, withCleanup } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { WebSocket, WebSocketServer } from 'ws';
import { collectGarbage } from './lib/collect-garbage.ts';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openScene, type Scene, temporaryFolder } from './lib/scene.ts';

const STATE_TIME_WAIT = '06';
/** Duration of TIME_WAIT on Linux, after which earlier sockets have gone. */
const TIME_WAIT_SECONDS = 60;
const AIM_PER_SECOND = 200;
/** Connections before the measurement, which compile code and fill caches. */
const WARM_UP_CONNECTS = 500;
const SESSIONS_AT_ONCE = 10;
const WARM_UP_SESSIONS = 50;
const FIRST_FRAME_TIMEOUT_MS = 15_000;
/** Time after which the records of ended sessions have expired. */
const LINGER_MS = 65_000;

interface Churn {
  readonly connects: number;
  readonly rejected: number;
  readonly perSecond: number;
  readonly timeWait: number;
  /** Growth of the heap from the first to the last connects, bytes, after garbage collection each time. */
  readonly heapGrowth: number;
}

async function churn(
  url: string,
  options: { connects: number; rate: number },
  heap: () => Promise<number>,
): Promise<Churn> {
  const { connects, rate } = options;
  const port = Number(new URL(url).port);
  for (let i = 0; i < WARM_UP_CONNECTS; i++) await connectOnce(url);
  const heapBefore = await heap();
  const startedMs = performance.now();
  const pending = new Set<Promise<void>>();
  let rejected = 0;
  for (let i = 0; i < connects; i++) {
    const once = connectOnce(url).catch(() => {
      rejected++;
    });
    pending.add(once);
    void once.finally(() => pending.delete(once));
    const aheadMs = startedMs + ((i + 1) * 1000) / rate - performance.now();
    if (aheadMs > 1) await sleep(aheadMs);
  }
  await Promise.all(pending);
  const perSecond = connects / ((performance.now() - startedMs) / 1000);
  await sleep(1000);
  const timeWait = timeWaitAt(port);
  return { connects, rejected, perSecond, timeWait, heapGrowth: (await heap()) - heapBefore };
}

async function connectOnce(url: string): Promise<void> {
  const socket = new WebSocket(url);
  const closed = once(socket, 'close');
  closed.catch(() => {});
  await once(socket, 'open');
  socket.close(1000);
  await closed;
}

/** @returns the sockets in TIME_WAIT on the server's port, which the server closed first. */
function timeWaitAt(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  let count = 0;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(table, 'latin1').split('\n')) {
      const [, local = '', , state] = line.trim().split(/\s+/);
      if (state === STATE_TIME_WAIT && local.endsWith(`:${hex}`)) count++;
    }
  }
  return count;
}

async function heapOf(process: StackProcess): Promise<number> {
  await collectGarbage(process.pid);
  return metric(process, 'nodejs_heap_size_used_bytes');
}

async function metric({ metricsUrl }: StackProcess, name: string): Promise<number> {
  const text = await fetch(`${metricsUrl}/metrics`).then((response) => response.text());
  return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

interface Holdings {
  /** @returns the number of keys without expiry. */
  readonly redisKeys: number;
  readonly heapBytes: Readonly<Record<string, number>>;
  readonly descriptors: Readonly<Record<string, number>>;
}

/** Measures after expiry and garbage collection. */
async function holdingsAtRest({ stack }: Scene, redis: Redis): Promise<Holdings> {
  const heapBytes: Record<string, number> = {};
  await sleep(LINGER_MS);
  for (const process of stack.processes) heapBytes[process.name] = await heapOf(process);
  const descriptors = stack.processes.map(({ name, pid }) => [name, readdirSync(`/proc/${pid}/fd`).length] as const);
  return { redisKeys: await lastingKeys(redis), heapBytes, descriptors: Object.fromEntries(descriptors) };
}

async function lastingKeys(redis: Redis): Promise<number> {
  const keys = await redis.keys('*');
  const ttls = await Promise.all(keys.map((key) => redis.ttl(key)));
  return ttls.filter((ttl) => ttl === -1).length;
}

/** Creates, watches and ends sessions, several at once. */
async function sessionsComeAndGo({ stack, producer }: Scene, count: number): Promise<number> {
  let failed = 0;
  const one = async () => {
    const session = await producer.createSession('bench');
    const viewer = new LightViewer({ signalingUrls: stack.signalingUrls, session: session.id, token: session.token });
    const deadline = performance.now() + FIRST_FRAME_TIMEOUT_MS;
    while (viewer.record.frames === 0 && performance.now() < deadline) await sleep(20);
    if (viewer.record.frames === 0) failed++;
    viewer.close();
    await producer.endSession(session.id);
  };
  for (let done = 0; done < count; done += SESSIONS_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(SESSIONS_AT_ONCE, count - done) }, one));
  }
  return failed;
}

/** A minimal server, as in the documentation of `ws`. */
function serveNaively(): void {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => socket.on('error', () => {}));
  server.on('listening', () => process.send?.((server.address() as { port: number }).port));
  process.on('message', () => process.send?.(process.memoryUsage().heapUsed));
  process.on('disconnect', () => process.exit());
}

async function askNaive(child: ChildProcess): Promise<number> {
  await collectGarbage(child.pid ?? 0);
  child.send('heap');
  return once(child, 'message').then(([bytes]) => bytes as number);
}

function churnFigures(group: string, result: Churn, judged: boolean): Figure[] {
  const recent = Math.min(result.connects, TIME_WAIT_SECONDS * result.perSecond);
  const share = (100 * result.timeWait) / recent;
  return [
    { group, name: 'connects', value: result.connects, unit: '', digits: 0 },
    {
      group,
      name: 'connects a second',
      value: result.perSecond,
      unit: '/s',
      digits: 0,
      ...(judged && { aim: { atLeast: AIM_PER_SECOND } }),
    },
    { group, name: 'rejected', value: result.rejected, unit: '', digits: 0, ...(judged && { aim: { atMost: 0 } }) },
    {
      group,
      name: 'server sockets in TIME_WAIT',
      value: share,
      unit: '%',
      note: 'of the last minute',
      ...(judged && { aim: { atMost: 5 } }),
    },
    { group, name: 'heap growth', value: result.heapGrowth / 1e6, unit: 'MB', ...(judged && { aim: { atMost: 15 } }) },
  ];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      connects: { type: 'string', default: '20000' },
      rate: { type: 'string', default: '250' },
      sessions: { type: 'string', default: '500' },
      json: { type: 'string' },
    },
  });
  const load = { connects: Number(values.connects), rate: Number(values.rate) };
  const machine = describeMachine();
  const figures = await withCleanup(async (cleanup) => {
    const mediaDir = temporaryFolder(cleanup);
    await makePlainClip(join(mediaDir, 'bench/idle/idle.mov'), {
      seconds: 2,
      fps: 25,
      size: '160x120',
      color: 'gray',
    });
    const scene = await openScene(cleanup, { turn: false, mediaDir, env: { ...LOAD_ENV } });
    const signaling = scene.stack.processes.find(({ name }) => name === 'signaling');
    if (!signaling) throw new Error('no signaling process is running');
    const signalUrl = `${scene.stack.signalingUrl.replace('http', 'ws')}/v1/signal`;
    const ours = await churn(signalUrl, load, () => heapOf(signaling));
    const naive = fork(fileURLToPath(import.meta.url), ['naive']);
    cleanup.add(() => naive.kill());
    const [port] = (await once(naive, 'message')) as [number];
    const theirs = await churn(`ws://127.0.0.1:${port}`, load, () => askNaive(naive));
    naive.kill();
    return [
      ...churnFigures('WebSockets that come and go: signaling', ours, true),
      ...churnFigures('The same, a plain ws server', theirs, false),
      ...(await sessionFigures(scene, Number(values.sessions), cleanup.add)),
    ];
  });
  reportFigures({ bench: 'churn', machine, figures, json: values.json });
}

async function sessionFigures(scene: Scene, count: number, onEnd: (undo: () => unknown) => void): Promise<Figure[]> {
  const redis = new Redis(scene.stack.redisQueue.url);
  onEnd(() => redis.disconnect());
  // The first sessions compile code and fill caches.
  await sessionsComeAndGo(scene, WARM_UP_SESSIONS);
  const before = await holdingsAtRest(scene, redis);
  const failed = await sessionsComeAndGo(scene, count);
  const after = await holdingsAtRest(scene, redis);
  const group = `${count} sessions made, watched and ended`;
  const grown = (of: 'heapBytes' | 'descriptors', name: string) => (after[of][name] ?? 0) - (before[of][name] ?? 0);
  return [
    { group, name: 'without video', value: failed, unit: '', digits: 0, aim: { atMost: 0 } },
    {
      group,
      name: 'additional Redis keys',
      value: after.redisKeys - before.redisKeys,
      unit: '',
      digits: 0,
      aim: { atMost: 0 },
    },
    ...['signaling', 'media-sender'].flatMap((name): Figure[] => [
      { group, name: `${name}: heap growth`, value: grown('heapBytes', name) / 1e6, unit: 'MB', aim: { atMost: 15 } },
      {
        group,
        name: `${name}: additional open files`,
        value: grown('descriptors', name),
        unit: '',
        digits: 0,
        aim: { atMost: 3 },
      },
    ]),
  ];
}

if (process.argv[2] === 'naive') serveNaively();
else await main();
