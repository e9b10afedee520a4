import { inTime, mastersOf, type Redis, type SenderRegistry } from '@humancast/shared';
import type { JobQueues, QueueLevels, QueueName } from '../routing/job-queues.js';
import { parseRedisInfo, REDIS_INFO_SECTIONS, type RedisInfo, sumOfRedisInfo } from './redis-info.js';

/** Time limit for a database's answer, ms; without one, it is reported as down. */
const TIMEOUT_MS = 1000;
/** Time for which a reading is reused, ms: for all metrics of a scrape, and for a second Prometheus. */
const FRESH_MS = 1000;

export interface FleetLevels {
  /** `undefined` if the database does not answer. */
  readonly redis: Readonly<Record<'queue' | 'media', RedisInfo | undefined>>;
  readonly queues: Readonly<Record<QueueName, QueueLevels>> | undefined;
}

/** Reads the levels of the shared databases and queues with a few cheap commands, on scrape only. */
export class FleetProbe {
  readonly #queueRedis: Redis;
  readonly #mediaRedis: Redis;
  readonly #senders: SenderRegistry;
  readonly #jobs: JobQueues;
  #reading: Promise<FleetLevels> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { queueRedis: Redis; mediaRedis: Redis; senders: SenderRegistry; jobs: JobQueues }) {
    this.#queueRedis = parts.queueRedis;
    this.#mediaRedis = parts.mediaRedis;
    this.#senders = parts.senders;
    this.#jobs = parts.jobs;
  }

  levels(): Promise<FleetLevels> {
    const nowMs = performance.now();
    if (!this.#reading || nowMs - this.#readAtMs > FRESH_MS) {
      this.#readAtMs = nowMs;
      this.#reading = this.#read();
    }
    return this.#reading;
  }

  async #read(): Promise<FleetLevels> {
    const [queue, media, queues] = await Promise.all([
      inTime(infoOf(this.#queueRedis), TIMEOUT_MS),
      inTime(infoOf(this.#mediaRedis), TIMEOUT_MS),
      inTime(this.#readQueues(), TIMEOUT_MS),
    ]);
    return { redis: { queue, media }, queues };
  }

  async #readQueues(): Promise<Record<QueueName, QueueLevels>> {
    const senders = (await this.#senders.list()).map(({ id }) => id);
    return this.#jobs.levels(senders);
  }
}

async function infoOf(redis: Redis): Promise<RedisInfo> {
  const texts = await Promise.all(mastersOf(redis).map((server) => server.call('INFO', ...REDIS_INFO_SECTIONS)));
  return sumOfRedisInfo(texts.map((text) => parseRedisInfo(String(text))));
}
