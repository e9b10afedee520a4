import { keys, type Redis } from '@humancast/shared';

const PING_TIMEOUT_MS = 1000;

/** Whether this process can serve: it is not stopping, both databases answer, and its mailbox is there to be written to. */
export class Readiness {
  readonly #queueRedis: Redis;
  readonly #mediaRedis: Redis;
  readonly #mailbox: string;
  #stopping = false;

  constructor(queueRedis: Redis, mediaRedis: Redis, mailbox: string) {
    this.#queueRedis = queueRedis;
    this.#mediaRedis = mediaRedis;
    this.#mailbox = mailbox;
  }

  /** From now on the answer is no: a balancer sends nobody here any more. */
  stop(): void {
    this.#stopping = true;
  }

  /** → `undefined` when able to serve, else the reason why not. */
  async reason(): Promise<string | undefined> {
    if (this.#stopping) return 'stopping';
    const [queue, media] = await Promise.all([
      inTime(this.#queueRedis.exists(keys.mailbox(this.#mailbox))),
      inTime(this.#mediaRedis.ping()),
    ]);
    if (queue === undefined) return 'redis-queue is not reachable';
    if (media === undefined) return 'redis-media is not reachable';
    return queue === 1 ? undefined : 'the mailbox is not open';
  }
}

async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), PING_TIMEOUT_MS);
  try {
    return await Promise.race([answer, promise]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
