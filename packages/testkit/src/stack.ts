import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.js';
import { type RedisOptions, startRedis, type TestRedis } from './redis.js';
import { redisUrlFor, refusalsOf } from './redis-users.js';
import { spawnTied } from './tied.js';
import { startTurn, type TestTurn, type TurnTransport } from './turn.js';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
/** Number of log lines kept per process, for error messages. */
const LOG_LINES = 400;

/** Settings that lift the limits per address, which a load generator on one address would reach. */
export const LOAD_ENV: Readonly<Record<string, string>> = {
  CONNECTS_PER_MINUTE: '1000000',
  CONNECTIONS_PER_ADDRESS: '1000000',
  SIGNAL_CONNECTIONS_PER_ADDRESS: '1000000',
  TURN_USERS_PER_HOUR: '1000000',
};

export interface StackOptions {
  senders?: number;
  signalings?: number;
  /** Whether viewers go through coturn; otherwise they connect directly. */
  turn?: boolean;
  /** How viewers may reach coturn. Default: over UDP. */
  turnTransports?: readonly TurnTransport[];
  /** Further lines of coturn's configuration. */
  turnSettings?: readonly string[];
  /** Address of coturn and the media-senders. Default 127.0.0.1, which Firefox rejects for a TURN server. */
  mediaAddress?: string;
  /** Folder that the loader watches. Default: a new empty one. */
  mediaDir?: string;
  /** Folder of the built services to start with. Default: this repository. */
  root?: string;
  /** Additional settings of all services. */
  env?: Readonly<Record<string, string>>;
  /** Additional options of redis-queue. */
  redisQueue?: Pick<RedisOptions, 'dir' | 'prefix'>;
  /** @returns where a process runs. Called once per process, before its first start. */
  place?: (process: PlacedProcess) => Promise<Placement>;
}

export interface PlacedProcess {
  /** Name of its service. */
  readonly name: string;
  /** Index among the processes of its service, from 0; a revived process keeps it. */
  readonly instance: number;
  readonly redisQueue: TestRedis;
  readonly redisMedia: TestRedis;
}

export interface Placement {
  /** Settings of this process only. */
  readonly env?: Readonly<Record<string, string>>;
  /** A command that executes its arguments, such as `nsenter`. */
  readonly prefix?: readonly string[];
}

export interface StackProcess {
  readonly name: string;
  readonly instance: number;
  readonly pid: number;
  readonly metricsUrl: string;
  /** @returns the last lines of the log. */
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
}

export interface Stack {
  /** One base URL per signaling process. */
  readonly signalingUrls: readonly string[];
  readonly signalingUrl: string;
  readonly loaderUrl: string;
  readonly apiKey: string;
  /** API key of the demo producer, with the scope `speak`. */
  readonly sayKey: string;
  readonly mediaDir: string;
  readonly redisQueue: TestRedis;
  readonly redisMedia: TestRedis;
  readonly turn: TestTurn | undefined;
  readonly processes: readonly StackProcess[];
  addSender(root?: string): Promise<StackProcess>;
  /** Restarts the service of a process that has ended, with the same settings, from the same or another build folder. */
  revive(ended: StackProcess, root?: string): Promise<StackProcess>;
  stop(): Promise<void>;
}

/**
 * Starts the built stack on free loopback ports, each service in its own process with the Redis rights it has in containers.
 * `stop` rejects if Redis denied a service a command.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const {
    senders = 1,
    signalings = 1,
    turn: withTurn = true,
    turnTransports = ['udp'],
    turnSettings,
    mediaAddress = '127.0.0.1',
  } = options;
  const dir = mkdtempSync(join(tmpdir(), 'humancast-stack-'));
  const mediaDir = options.mediaDir ?? join(dir, 'media');
  mkdirSync(mediaDir, { recursive: true });
  const [redisQueue, redisMedia] = await Promise.all([
    startRedis({ appendOnly: true, usersOf: 'redis-queue', ...options.redisQueue }),
    startRedis({ maxmemory: '512mb', policy: 'volatile-lru', usersOf: 'redis-media' }),
  ]);
  const tls = turnTransports.includes('tls');
  const turn = withTurn ? await startTurn({ address: mediaAddress, tls, settings: turnSettings }) : undefined;
  const [apiKey, sayKey] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')];
  const apiKeyFile = join(dir, 'api-keys');
  writeFileSync(apiKeyFile, `demo-producer:${sayKey} speak\n`, { mode: 0o600 });
  const loaderPort = await freePort();
  const shared: Record<string, string> = {
    LOG_LEVEL: 'info',
    BIND_ADDRESS: '127.0.0.1',
    HUMANCAST_API_KEY: apiKey,
    HUMANCAST_API_KEY_FILE: apiKeyFile,
    SAY_KEY: sayKey,
    TOKEN_SECRET: randomBytes(16).toString('hex'),
    PUBLIC_DEMO: 'true',
    ...(turn && { TURN_URLS: turnTransports.map(turn.url).join(','), TURN_SECRET: turn.secret }),
    HOST_ADDRESSES: mediaAddress,
    MEDIA_DIR: mediaDir,
    SCRATCH_DIR: dir,
    ARCHIVE_DIR: join(dir, 'archive'),
    WATCH_SETTLE_MS: '100',
    WATCH_RESCAN_MS: '1000',
    LOADER_PORT: String(loaderPort),
    ...options.env,
  };
  const processes: StackProcess[] = [];
  const revivals = new Map<StackProcess, (root?: string) => Promise<StackProcess>>();
  const instances = new Map<string, number>();
  const { root = ROOT } = options;
  const launch = async (
    service: string,
    variable: string,
    { from = root, extra = {} }: { from?: string; extra?: Record<string, string> } = {},
  ) => {
    const metricsPort = await freePort();
    const instance = instances.get(service) ?? 0;
    instances.set(service, instance + 1);
    const placement = (await options.place?.({ name: service, instance, redisQueue, redisMedia })) ?? {};
    const begin = (folder: string) => {
      const env = {
        REDIS_QUEUE_URL: redisUrlFor(service, redisQueue.port),
        REDIS_MEDIA_URL: redisUrlFor(service, redisMedia.port),
        ...shared,
        ...extra,
        [variable]: String(metricsPort),
        ...placement.env,
      };
      const child = startService(folder, service, { instance, env, metricsPort, prefix: placement.prefix });
      processes.push(child);
      revivals.set(child, async (nextFolder = folder) => {
        processes.splice(processes.indexOf(child), 1);
        const next = begin(nextFolder);
        await ready(`${next.metricsUrl}/readyz`, next);
        return next;
      });
      return child;
    };
    return begin(from);
  };
  const addSender = async (from = root) => {
    const child = await launch('media-sender', 'SENDER_METRICS_PORT', { from });
    await ready(`${child.metricsUrl}/readyz`, child);
    return child;
  };
  const signalingUrls: string[] = [];
  const stop = async () => {
    for (const child of processes) child.signal('SIGTERM');
    await Promise.all(processes.map((child) => gone(child)));
    const refused = await Promise.all([redisQueue, redisMedia].map(({ url }) => refusalsOf(url)));
    await Promise.all([redisQueue.stop(), redisMedia.stop(), turn?.stop()]);
    rmSync(dir, { recursive: true, force: true });
    if (refused.flat().length > 0) throw new Error(`Redis denied a service a command: ${refused.flat().join('; ')}`);
  };
  try {
    const waits: Promise<void>[] = [];
    const loader = await launch('segment-loader', 'LOADER_METRICS_PORT');
    waits.push(ready(`http://127.0.0.1:${loaderPort}/readyz`, loader));
    for (let i = 0; i < signalings; i++) {
      const port = await freePort();
      const child = await launch('signaling', 'SIGNALING_METRICS_PORT', { extra: { SIGNALING_PORT: String(port) } });
      signalingUrls.push(`http://127.0.0.1:${port}`);
      waits.push(ready(`http://127.0.0.1:${port}/readyz`, child));
    }
    for (let i = 0; i < senders; i++) waits.push(addSender().then(() => {}));
    await Promise.all(waits);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    signalingUrls,
    signalingUrl: signalingUrls[0] as string,
    loaderUrl: `http://127.0.0.1:${loaderPort}`,
    apiKey,
    sayKey,
    mediaDir,
    redisQueue,
    redisMedia,
    turn,
    processes,
    addSender,
    async revive(ended, place) {
      const start = revivals.get(ended);
      if (!start) throw new Error(`${ended.name} does not belong to this stack`);
      revivals.delete(ended);
      return start(place);
    },
    stop,
  };
}

interface ServiceStart {
  instance: number;
  env: Readonly<Record<string, string>>;
  metricsPort: number;
  prefix: readonly string[] | undefined;
}

function startService(
  root: string,
  service: string,
  { instance, env, metricsPort, prefix }: ServiceStart,
): StackProcess {
  const main = join(root, 'services', service, 'dist/main.js');
  const options: SpawnOptions = { env: { PATH: process.env['PATH'], ...env }, stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawnTied(process.execPath, [main], options, prefix);
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => {
      lines.push(...text.split('\n').filter((line) => line !== ''));
      lines.splice(0, Math.max(0, lines.length - LOG_LINES));
    });
  }
  return {
    name: service,
    instance,
    pid: child.pid ?? -1,
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    log: () => lines.join('\n'),
    signal: (signal) => void child.kill(signal),
    ended: exited(child),
  };
}

function exited(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
}

async function ready(url: string, child: StackProcess): Promise<void> {
  let over = false;
  void child.ended.then(() => {
    over = true;
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline && !over) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    await sleep(50);
  }
  throw new Error(`${child.name} is not ready:\n${child.log()}`);
}

async function gone(child: StackProcess): Promise<void> {
  const timer = setTimeout(() => child.signal('SIGKILL'), STOP_TIMEOUT_MS);
  await child.ended;
  clearTimeout(timer);
}
