import type { ConnectionOptions } from 'bullmq';
import { Cluster, type RedisOptions, Redis as SingleRedis } from 'ioredis';
import type { Logger } from './log.js';
import { retry } from './retry.js';

/** A connection to one server, or one to each node of a Redis Cluster. Commands are the same. */
export type Redis = SingleRedis | Cluster;

const COMMAND_TIMEOUT_MS = 5000;
const REFUSED_RETRY_MS = 500;

export interface ConnectOptions {
  /** Shown by CLIENT LIST and in the log. */
  name: string;
  logger: Logger;
  /**
   * Whether commands wait for a lost connection to come back (`true`), or fail at once so that the caller can answer
   * `unavailable` (`false`, the default). Blocking readers and BullMQ workers wait.
   */
  waitForReconnect?: boolean;
}

/**
 * A connection that comes back by itself, with one log line when it goes and one when it is back.
 * The caller closes it with `quit()` or `disconnect()`.
 * @param url of one server, or `redis+cluster://…` of any node of a cluster, which tells where the others are.
 */
export function connectRedis(url: string, options: ConnectOptions): Redis {
  const redis = isClusterUrl(url)
    ? connectCluster(new URL(url), options)
    : new SingleRedis(url, { ...commonOptions(options), retryStrategy: retryDelayMs });
  logOutages(redis, options);
  return redis;
}

/**
 * A connection for pub/sub, which waits for reconnection. One to any node serves a whole cluster, because its nodes pass on
 * to each other what is published; and one connection, unlike ioredis' cluster client, says when what was published may have
 * been missed (`ready`).
 */
export function connectSubscriber(url: string, options: Pick<ConnectOptions, 'name' | 'logger'>): SingleRedis {
  const all = { ...options, waitForReconnect: true };
  const redis = new SingleRedis(url.replace('+cluster', ''), { ...commonOptions(all), retryStrategy: retryDelayMs });
  logOutages(redis, all);
  return redis;
}

/**
 * For BullMQ, which opens connections of its own.
 * @param shared a connection to the same URL that waits for reconnection; on a cluster BullMQ goes by it.
 */
export function bullConnection(url: string, name: string, shared: Redis): ConnectionOptions {
  if (isClusterUrl(url)) return shared;
  return { url, connectionName: name, maxRetriesPerRequest: null, retryStrategy: retryDelayMs };
}

/** Each server that has a part of the data. */
export function mastersOf(redis: Redis): SingleRedis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

/** Name under which ioredis knows each script, by its text. */
const commands = new Map<string, string>();

/**
 * Runs a Lua script by its hash (EVALSHA). Its text is sent once a connection, and again to a server that has lost it; on a
 * cluster to each node that it runs on.
 * @param keys all of one slot.
 * @throws what the script or Redis answers as an error.
 */
export function runScript(
  redis: Redis,
  script: string,
  keys: readonly string[],
  ...args: readonly (string | number)[]
): Promise<unknown> {
  const name = commands.get(script) ?? `script${commands.size}`;
  commands.set(script, name);
  const defined = redis as Redis & Record<string, ((...args: (string | number)[]) => Promise<unknown>) | undefined>;
  if (!defined[name]) redis.defineCommand(name, { lua: script });
  return (defined[name] as NonNullable<(typeof defined)[string]>)(keys.length, ...keys, ...args);
}

/** Whether Redis refused to write because its disk is full or broken (`MISCONF`). It tries again each second. */
export function isRefused(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('MISCONF');
}

/** Writes, and while Redis refuses all writes again each half second: who starts then waits, as for a Redis that is away. */
export async function untilWritten<T>(write: () => Promise<T>): Promise<T> {
  const onError = (error: unknown) => {
    if (!isRefused(error)) throw error;
  };
  return retry(write, { firstDelayMs: REFUSED_RETRY_MS, onError });
}

function isClusterUrl(url: string): boolean {
  return /^rediss?\+cluster:/.test(url);
}

function connectCluster(url: URL, options: ConnectOptions): Cluster {
  const { waitForReconnect = false } = options;
  const secure = url.protocol.startsWith('rediss');
  const cluster = new Cluster([{ host: url.hostname, port: Number(url.port || 6379) }], {
    clusterRetryStrategy: retryDelayMs,
    // A certificate names hosts, so they must not be resolved before.
    ...(secure && { dnsLookup: (host, callback) => callback(null, host) }),
    redisOptions: {
      ...commonOptions(options),
      ...(url.username && { username: decodeURIComponent(url.username) }),
      ...(url.password && { password: decodeURIComponent(url.password) }),
      ...(secure && { tls: {} }),
    },
  });
  // Until it is there for the first time, everybody waits, as with one server.
  cluster.once('ready', () => {
    cluster.options.enableOfflineQueue = waitForReconnect;
  });
  return cluster;
}

function commonOptions({ name, waitForReconnect = false }: ConnectOptions) {
  return {
    connectionName: name,
    // 0: whoever is told of errors decides what to do; what may have been done already is not done again behind its back.
    maxRetriesPerRequest: waitForReconnect ? null : 0,
    enableReadyCheck: true,
    keepAlive: 10_000,
    connectTimeout: 5000,
    // A caller who is told when it fails is told when it hangs, too.
    ...(!waitForReconnect && { commandTimeout: COMMAND_TIMEOUT_MS }),
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  } satisfies RedisOptions;
}

function logOutages(redis: Redis, { name, logger }: ConnectOptions): void {
  let down = false;
  redis.on('error', (error: Error) => {
    if (!down) logger.error({ redis: name, err: error.message }, 'redis connection lost');
    down = true;
  });
  redis.on('ready', () => {
    if (down) logger.info({ redis: name }, 'redis connection is back');
    down = false;
  });
}

/** Short: while it waits, a media-sender is silent. A few processes can't overload a server with it. */
function retryDelayMs(attempt: number): number {
  return Math.min(50 * attempt, 300);
}
