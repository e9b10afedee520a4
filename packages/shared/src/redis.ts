import type { ConnectionOptions } from 'bullmq';
import { Cluster, type RedisOptions, Redis as SingleRedis } from 'ioredis';
import type { Logger } from './log.js';
import { retry } from './retry.js';

/** A connection to one server, or to all nodes of a Redis Cluster; commands are the same. */
export type Redis = SingleRedis | Cluster;

const COMMAND_TIMEOUT_MS = 5000;
const REFUSED_RETRY_MS = 500;

export interface ConnectOptions {
  /** Name in CLIENT LIST and in the log. */
  name: string;
  logger: Logger;
  /**
   * Whether commands wait while the connection is lost (`true`, for blocking readers and BullMQ workers), or fail
   * immediately so that the caller can answer `unavailable` (`false`, the default).
   */
  waitForReconnect?: boolean;
}

/**
 * Opens a connection that reconnects automatically and logs one line when it is lost and one when it is restored. The caller
 * closes it with `quit()` or `disconnect()`.
 * @param url URL of a server, or `redis+cluster://…` of any node of a cluster, which reports the others.
 */
export function connectRedis(url: string, options: ConnectOptions): Redis {
  const redis = isClusterUrl(url)
    ? connectCluster(new URL(url), options)
    : new SingleRedis(url, { ...commonOptions(options), retryStrategy: retryDelayMs });
  logOutages(redis, options);
  return redis;
}

/**
 * Opens a connection for pub/sub, whose commands wait for reconnection. A connection to any node serves a whole cluster,
 * because nodes forward published messages to each other; and a single connection, unlike ioredis's cluster client, emits
 * `ready` when messages may have been missed.
 */
export function connectSubscriber(url: string, options: Pick<ConnectOptions, 'name' | 'logger'>): SingleRedis {
  const all = { ...options, waitForReconnect: true };
  const redis = new SingleRedis(url.replace('+cluster', ''), { ...commonOptions(all), retryStrategy: retryDelayMs });
  logOutages(redis, all);
  return redis;
}

/**
 * @returns Connection options for BullMQ, which opens its own connections.
 * @param shared A connection to the same URL that waits for reconnection; BullMQ uses it on a cluster.
 */
export function bullConnection(url: string, name: string, shared: Redis): ConnectionOptions {
  if (isClusterUrl(url)) return shared;
  return { url, connectionName: name, maxRetriesPerRequest: null, retryStrategy: retryDelayMs };
}

/** @returns All servers that hold a part of the data. */
export function mastersOf(redis: Redis): SingleRedis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

/** Command names in ioredis by script text. */
const commands = new Map<string, string>();

/**
 * Runs a Lua script by its hash (EVALSHA). Its text is sent once per connection and node, and again to a server that has
 * lost it.
 * @param keys Keys in one slot.
 * @throws Error returned by the script or by Redis.
 */
export function runScript(
  redis: Redis,
  script: string,
  keys: readonly string[],
  ...args: readonly (string | number | Buffer)[]
): Promise<unknown> {
  const name = commands.get(script) ?? `script${commands.size}`;
  commands.set(script, name);
  const defined = redis as Redis &
    Record<string, ((...args: (string | number | Buffer)[]) => Promise<unknown>) | undefined>;
  if (!defined[name]) redis.defineCommand(name, { lua: script });
  return (defined[name] as NonNullable<(typeof defined)[string]>)(keys.length, ...keys, ...args);
}

/** @returns Whether Redis rejected a write because its disk is full or broken (`MISCONF`). It retries every second. */
export function isWriteRejected(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('MISCONF');
}

/**
 * Retries a write every half second while Redis rejects all writes with `MISCONF`, so that a process waits at its start as
 * it would for an unreachable Redis.
 */
export async function untilWritten<T>(write: () => Promise<T>): Promise<T> {
  const onError = (error: unknown) => {
    if (!isWriteRejected(error)) throw error;
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
    // TLS certificates contain host names, so these must not be resolved.
    ...(secure && { dnsLookup: (host, callback) => callback(null, host) }),
    redisOptions: {
      ...commonOptions(options),
      ...(url.username && { username: decodeURIComponent(url.username) }),
      ...(url.password && { password: decodeURIComponent(url.password) }),
      ...(secure && { tls: {} }),
    },
  });
  // Commands wait for the first connection, as with a single server.
  cluster.once('ready', () => {
    cluster.options.enableOfflineQueue = waitForReconnect;
  });
  return cluster;
}

function commonOptions({ name, waitForReconnect = false }: ConnectOptions) {
  return {
    connectionName: name,
    // 0: never repeats a command that may have been executed; the caller decides.
    maxRetriesPerRequest: waitForReconnect ? null : 0,
    enableReadyCheck: true,
    keepAlive: 10_000,
    connectTimeout: 5000,
    // A caller that gets errors also gets one if a command hangs.
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
    if (down) logger.info({ redis: name }, 'redis connection restored');
    down = false;
  });
}

/**
 * The delay is short because the lease can't be renewed meanwhile; the number of processes is too small to overload a
 * server.
 */
function retryDelayMs(attempt: number): number {
  return Math.min(50 * attempt, 300);
}
