import { HumancastError, mastersOf, type Redis } from '@humancast/shared';
import { parseRedisInfo } from '../observability/redis-info.js';

/** Fraction of `maxmemory` above which redis-queue accepts nothing new. Ending and moving sessions needs memory for jobs. */
const FULL = 0.9;
const FRESH_MS = 1000;
const RETRY_SECONDS = 5;

/**
 * Reserves the last tenth of redis-queue's memory for work that frees it: BullMQ cannot move a session when memory is full.
 */
export class QueueMemory {
  readonly #redis: Redis;
  /** Last known usage, 0 to 1. */
  #usage = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Checks the last known usage, and refreshes it at most once a second. @throws HumancastError `unavailable`. */
  require(): void {
    if (performance.now() - this.#askedAtMs > FRESH_MS) {
      this.#askedAtMs = performance.now();
      void this.#read().then((usage) => {
        this.#usage = usage;
      });
    }
    if (this.#usage < FULL) return;
    throw new HumancastError('unavailable', { detail: 'redis-queue is nearly full', retryAfterSeconds: RETRY_SECONDS });
  }

  /** @returns The usage of the fullest node; 0 if none has a limit or none answers. */
  async #read(): Promise<number> {
    try {
      const texts = await Promise.all(mastersOf(this.#redis).map((server) => server.info('memory')));
      const infos = texts.map(parseRedisInfo).filter(({ memoryLimitBytes }) => memoryLimitBytes > 0);
      return Math.max(0, ...infos.map(({ memoryBytes, memoryLimitBytes }) => memoryBytes / memoryLimitBytes));
    } catch {
      return 0;
    }
  }
}
