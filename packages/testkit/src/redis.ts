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
  readonly pid: number;
  /** Sends a signal to the server process, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void;
  /** Kills the server and starts it again on the same port; with `appendOnly`, the data survives. */
  restart(): Promise<void>;
  /** Kills the server, as in a crash. */
  kill(): Promise<void>;
  /** Fills the disk that `diskBytes` created, and writes until Redis reports it. */
  fillDisk(): Promise<void>;
  /** Frees the disk, and waits until Redis accepts writes. */
  freeDisk(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisOptions {
  maxmemory?: string;
  policy?: string;
  appendOnly?: boolean;
  cluster?: boolean;
  /** The database whose service users are created, in addition to the default user. */
  usersOf?: RedisName;
  /** Size of a tmpfs for its files, in a mount namespace that ends with the process. */
  diskBytes?: number;
  /** Folder for its files. Default: a new folder, which `stop` removes. */
  dir?: string;
  /** A command that executes its arguments, such as `nsenter`. */
  prefix?: readonly string[];
}

/** Starts a redis-server on loopback. */
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
    get pid() {
      return child.pid ?? -1;
    },
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

/** Root may mount; other users become root in a user namespace. */
function withDisk(dir: string, bytes: number): string[] {
  const script = `mount -t tmpfs -o size=${bytes} tmpfs '${dir}' && exec redis-server "$@"`;
  return ['unshare', process.getuid?.() === 0 ? '-m' : '-rm', 'sh', '-c', script, 'sh'];
}

/** @returns the path of the disk's filler file, seen from outside the mount namespace. */
async function diskOf(redis: Redis, dir: string): Promise<string> {
  const pid = /process_id:(\d+)/.exec(await redis.info('server'))?.[1];
  return join('/proc', String(pid), 'root', dir, 'fill');
}

function fillDisk(port: number, dir: string): Promise<void> {
  return ask(`redis://127.0.0.1:${port}`, async (redis) => {
    const file = await diskOf(redis, dir);
    for (const chunk of [2 ** 20, 4096]) await appendUntilFull(file, Buffer.alloc(chunk));
    // More than is left in the last page of the file.
    const large = Buffer.alloc(16_384);
    for (let attempt = 0; attempt < 400 && (await pingOf(redis)) === 'PONG'; attempt++) {
      await redis.set('fill', large).catch(() => {});
      await sleep(25);
    }
    if ((await pingOf(redis)) === 'PONG') throw new Error('redis-server does not report its full disk');
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

/** A cluster node, which talks to other nodes on its bus port. */
interface ClusterServer extends TestRedis {
  readonly busPort: number;
}

export interface TestRedisCluster {
  /** `redis+cluster://…` URL of the first node. */
  readonly url: string;
  readonly nodes: readonly TestRedis[];
  /**
   * Restarts all nodes, one after the other, and waits until the cluster is complete; with `appendOnly`, the data survives.
   */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const SLOTS = 16_384;

const CLUSTER_SIZE = 3;

/** Starts a Redis Cluster on loopback: three masters, each with a third of the slots. */
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
  throw new Error('the Redis Cluster does not become complete');
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
  throw new Error('redis-server does not respond');
}
