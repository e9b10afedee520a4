import { HumancastError, mastersOf, type Redis } from '@humancast/shared';
import { parseRedisInfo } from '../observability/redis-info.js';

/** Of its `maxmemory`, from which on redis-queue gets nothing new. What ends, moves and frees needs room for its jobs. */
const FULL = 0.9;
const FRESH_MS = 1000;
const RETRY_SECONDS = 5;

/** Keeps the last tenth of redis-queue's memory for what makes room: BullMQ can't move a session to another host in a full one. */
export class QueueMemory {
  readonly #redis: Redis;
  /** 0 to 1, as last known. */
  #usage = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Goes by what Redis said last, and asks it again, once a second at most. @throws HumancastError `unavailable`. */
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

  /** Of the fullest node. Where none has a limit, or none answers, there is nothing to keep: the command itself will tell. */
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
