import { keys, type Redis } from '@humancast/shared';

const PING_TIMEOUT_MS = 1000;

/**
 * Whether this process can serve: it is not stopping, redis-queue answers, and its mailbox is there to be written to. Without
 * redis-media it still serves the page, viewers, events and interruptions, and refuses only what needs media: if all
 * processes called themselves unready, a balancer would send nobody anywhere.
 */
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
    const queue = await pinged(this.#queueRedis);
    if (queue !== undefined) return `redis-queue ${queue}`;
    const isOpen = (await inTime(this.#queueRedis.exists(keys.mailbox(this.#mailbox)))) === 1;
    return isOpen ? undefined : 'the mailbox is not open';
  }

  /** @returns what is missing of what this process can do without, `undefined` when nothing is. */
  async shortcoming(): Promise<string | undefined> {
    const media = await pinged(this.#mediaRedis);
    return media === undefined ? undefined : `redis-media ${media}`;
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
