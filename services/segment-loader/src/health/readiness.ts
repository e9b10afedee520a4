import type { Redis } from '@humancast/shared';

const PING_TIMEOUT_MS = 1000;

/** Whether this process can serve: it is not stopping, and both databases answer. */
export class Readiness {
  readonly #queueRedis: Redis;
  readonly #mediaRedis: Redis;
  #stopping = false;

  constructor(queueRedis: Redis, mediaRedis: Redis) {
    this.#queueRedis = queueRedis;
    this.#mediaRedis = mediaRedis;
  }

  /** From now on the answer is no. */
  stop(): void {
    this.#stopping = true;
  }

  /** → `undefined` when able to serve, else the reason why not. */
  async reason(): Promise<string | undefined> {
    if (this.#stopping) return 'stopping';
    const [queue, media] = await Promise.all([answers(this.#queueRedis), answers(this.#mediaRedis)]);
    if (!queue) return 'redis-queue is not reachable';
    return media ? undefined : 'redis-media is not reachable';
  }
}

async function answers(redis: Redis): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), PING_TIMEOUT_MS);
  const ping = redis.ping().then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([ping, promise]);
  } finally {
    clearTimeout(timer);
  }
}
