import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './ports.js';
import { type RedisName, userArguments } from './redis-users.js';
import { spawnTied } from './tied.js';

export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Sends a signal to the server process, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void;
  /** Kills and starts it again on the same port, with its data where `appendOnly` was asked for. */
  restart(): Promise<void>;
  /** Ends it without a word, as a crash would. */
  kill(): Promise<void>;
  /** Fills its disk, where `diskBytes` was asked for, and writes until Redis has noticed. */
  fillDisk(): Promise<void>;
  /** Frees it again, and waits until Redis has noticed. */
  freeDisk(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisOptions {
  maxmemory?: string;
  policy?: string;
  appendOnly?: boolean;
  cluster?: boolean;
  /** Whose users it has, besides the one without a name or limits. */
  usersOf?: RedisName;
  /** Size of a disk of its own: a tmpfs in a mount namespace that ends with the process. */
  diskBytes?: number;
  /** Where its files lie; a new folder, removed by `stop`, when not given. */
  dir?: string;
  /** A command that executes its arguments in its own place, such as `nsenter`. */
  prefix?: readonly string[];
}

/** A redis-server of its own on loopback. */
export async function startRedis(options: RedisOptions = {}): Promise<ClusterServer> {
  const port = await freePort();
  const busPort = options.cluster ? await freePort() : 0;
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'humancast-redis-'));
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', dir];
  args.push('--appendonly', options.appendOnly ? 'yes' : 'no');
  if (options.maxmemory) args.push('--maxmemory', options.maxmemory);
  args.push('--maxmemory-policy', options.policy ?? 'noeviction');
  if (options.cluster) {
    args.push('--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-require-full-coverage', 'no');
    args.push('--cluster-node-timeout', '1000');
  }
  if (options.usersOf) args.push(...userArguments(options.usersOf));
  const command = options.diskBytes === undefined ? ['redis-server'] : withDisk(dir, options.diskBytes);
  let child = await launch([...command, ...args], port, options.prefix);
  const kill = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    busPort,
    signal: (signal) => void child.kill(signal),
    kill,
    fillDisk: () => fillDisk(port, dir),
    freeDisk: () => freeDisk(port, dir),
    async restart() {
      await kill();
      child = await launch([...command, ...args], port, options.prefix);
    },
    async stop() {
      await kill();
      if (options.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Root may mount; anybody else becomes it in a user namespace of its own. */
function withDisk(dir: string, bytes: number): string[] {
  const script = `mount -t tmpfs -o size=${bytes} tmpfs '${dir}' && exec redis-server "$@"`;
  return ['unshare', process.getuid?.() === 0 ? '-m' : '-rm', 'sh', '-c', script, 'sh'];
}

/** The disk as its process sees it. */
async function diskOf(redis: Redis, dir: string): Promise<string> {
  const pid = /process_id:(\d+)/.exec(await redis.info('server'))?.[1];
  return join('/proc', String(pid), 'root', dir, 'fill');
}

function fillDisk(port: number, dir: string): Promise<void> {
  return ask(`redis://127.0.0.1:${port}`, async (redis) => {
    const file = await diskOf(redis, dir);
    for (const chunk of [2 ** 20, 4096]) await appendUntilFull(file, Buffer.alloc(chunk));
    // More than is left in the last page of its file.
    const large = Buffer.alloc(16_384);
    for (let attempt = 0; attempt < 400 && (await pingOf(redis)) === 'PONG'; attempt++) {
      await redis.set('fill', large).catch(() => {});
      await sleep(25);
    }
    if ((await pingOf(redis)) === 'PONG') throw new Error('redis-server does not notice that its disk is full');
  });
}

async function appendUntilFull(file: string, chunk: Buffer): Promise<void> {
  try {
    for (;;) await appendFile(file, chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

function freeDisk(port: number, dir: string): Promise<void> {
  return ask(`redis://127.0.0.1:${port}`, async (redis) => {
    rmSync(await diskOf(redis, dir));
    for (let attempt = 0; attempt < 400 && (await pingOf(redis)) !== 'PONG'; attempt++) await sleep(25);
    await redis.del('fill');
  });
}

function pingOf(redis: Redis): Promise<string> {
  return redis.ping().catch((error: Error) => error.message);
}

/** In a cluster, nodes talk to each other on a port of its own. */
interface ClusterServer extends TestRedis {
  readonly busPort: number;
}

export interface TestRedisCluster {
  /** `redis+cluster://…` of its first node. */
  readonly url: string;
  readonly nodes: readonly TestRedis[];
  /** All nodes, one after the other; with their data where `appendOnly` was asked for. Settles when they are one again. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const SLOTS = 16_384;

const CLUSTER_SIZE = 3;

/** A Redis Cluster of its own on loopback: three masters, each with a third of the slots. */
export async function startRedisCluster(options: { appendOnly?: boolean } = {}): Promise<TestRedisCluster> {
  const servers = await Promise.all(
    Array.from({ length: CLUSTER_SIZE }, () => startRedis({ ...options, cluster: true })),
  );
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const share = Math.ceil(SLOTS / CLUSTER_SIZE);
    for (const [i, { url }] of servers.entries()) {
      const last = Math.min((i + 1) * share, SLOTS) - 1;
      await ask(url, (redis) => redis.cluster('ADDSLOTSRANGE', i * share, last));
    }
    const [{ url }, ...others] = servers as [ClusterServer, ...ClusterServer[]];
    for (const { port, busPort } of others) {
      await ask(url, (redis) => redis.call('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort)));
    }
    await whole(servers);
    return {
      url: url.replace('redis:', 'redis+cluster:'),
      nodes: servers,
      async restart() {
        for (const server of servers) await server.restart();
        await whole(servers);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function whole(servers: readonly ClusterServer[]): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const states = await Promise.all(servers.map(({ url }) => ask(url, (redis) => redis.cluster('INFO')).then(String)));
    const isWhole = (state: string) =>
      state.includes('cluster_state:ok') &&
      state.includes(`cluster_slots_ok:${SLOTS}`) &&
      state.includes(`cluster_size:${servers.length}`);
    if (states.every(isWhole)) return;
    await sleep(25);
  }
  throw new Error('the nodes of the Redis Cluster do not find each other');
}

async function ask<T>(url: string, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

async function launch(
  [command = '', ...args]: readonly string[],
  port: number,
  prefix?: readonly string[],
): Promise<ChildProcess> {
  const child = spawnTied(command, args, { stdio: 'ignore' }, prefix);
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  await Promise.race([answering(port, child), failed]);
  return child;
}

async function answering(port: number, child: ChildProcess): Promise<void> {
  const redis = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', () => {});
  for (let attempt = 0; attempt < 200; attempt++) {
    if (child.exitCode !== null) throw new Error(`redis-server exited with ${child.exitCode}`);
    try {
      if (redis.status !== 'ready') await redis.connect();
      if ((await redis.ping()) === 'PONG') {
        redis.disconnect();
        return;
      }
    } catch {
      await sleep(25);
    }
  }
  throw new Error('redis-server does not answer');
}
