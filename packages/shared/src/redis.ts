import type { ConnectionOptions } from 'bullmq';
import { Redis } from 'ioredis';
import type { Logger } from './log.js';

export type { Redis } from 'ioredis';

const COMMAND_TIMEOUT_MS = 5000;

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
 */
export function connectRedis(url: string, { name, logger, waitForReconnect = false }: ConnectOptions): Redis {
  const options = {
    connectionName: name,
    // 0: whoever is told of errors decides what to do; what may have been done already is not done again behind its back.
    maxRetriesPerRequest: waitForReconnect ? null : 0,
    enableReadyCheck: true,
    keepAlive: 10_000,
    connectTimeout: 5000,
    // A caller who is told when it fails is told when it hangs, too.
    ...(!waitForReconnect && { commandTimeout: COMMAND_TIMEOUT_MS }),
    retryStrategy: retryDelayMs,
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const redis = new Redis(url, options);
  let down = false;
  redis.on('error', (error: Error) => {
    if (!down) logger.error({ redis: name, err: error.message }, 'redis connection lost');
    down = true;
  });
  redis.on('ready', () => {
    if (down) logger.info({ redis: name }, 'redis connection is back');
    down = false;
  });
  return redis;
}

/** Connection options for BullMQ, which opens connections of its own. */
export function bullConnection(url: string, name: string): ConnectionOptions {
  return { url, connectionName: name, maxRetriesPerRequest: null, retryStrategy: retryDelayMs };
}

/** Short: while it waits, a media-sender is silent. A few processes can't overload a server with it. */
function retryDelayMs(attempt: number): number {
  return Math.min(50 * attempt, 300);
}
