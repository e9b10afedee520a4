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
    const [queue, media] = await Promise.all([pinged(this.#queueRedis), pinged(this.#mediaRedis)]);
    if (queue !== undefined) return `redis-queue ${queue}`;
    if (media !== undefined) return `redis-media ${media}`;
    const isOpen = (await inTime(this.#queueRedis.exists(keys.mailbox(this.#mailbox)))) === 1;
    return isOpen ? undefined : 'the mailbox is not open';
  }
}

/**
 * `PING` also says that nothing can be written (`MISCONF`: the disk is full).
 * @returns `undefined` when the answer is `PONG`.
 */
async function pinged(redis: Redis): Promise<string | undefined> {
  const answer = await inTime(redis.ping().catch((error: Error) => error.message));
  if (answer === 'PONG') return undefined;
  return answer?.startsWith('MISCONF') ? 'accepts no writes: its disk is full or broken' : 'is not reachable';
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
