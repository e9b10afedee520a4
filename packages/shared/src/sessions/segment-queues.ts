import { Queue } from 'bullmq';
import { BULL_PREFIX, segmentsQueue } from '../keys.js';
import type { SegmentJob } from '../messages/jobs.js';
import type { Redis } from '../redis.js';

/** Number of queues kept open; they share a connection. */
const QUEUES_KEPT = 256;
/** A job completes when it is taken: the durable state is in the session registry. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

/** BullMQ queues of media-senders, on which segments of their sessions are announced. */
export class SegmentQueues {
  readonly #connection: Redis;
  readonly #queues = new Map<string, Queue<SegmentJob>>();

  /** @param connection Shared by all queues; the caller closes it after {@link close}. */
  constructor(connection: Redis) {
    this.#connection = connection;
  }

  /** Announces queued segments to the media-sender `host`, which fetches them. */
  async announce(host: string, jobs: readonly SegmentJob[]): Promise<void> {
    await this.of(host).addBulk(
      jobs.map((data) => ({
        name: 'segment',
        data,
        opts: { ...JOB_OPTIONS, jobId: `${data.session}-${data.seq}` },
      })),
    );
  }

  of(host: string): Queue<SegmentJob> {
    let queue = this.#queues.get(host);
    if (!queue) {
      queue = openQueue<SegmentJob>(segmentsQueue(host), this.#connection);
      this.#queues.set(host, queue);
      const [oldest] = this.#queues.keys();
      if (this.#queues.size > QUEUES_KEPT && oldest !== undefined) this.#queues.delete(oldest);
    }
    return queue;
  }

  /** Removes the queue of a media-sender that is gone for good. */
  async drop(host: string): Promise<void> {
    await this.of(host).obliterate({ force: true });
    this.#queues.delete(host);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }
}

/**
 * Opens a BullMQ queue on a shared connection. While Redis is unreachable its commands fail immediately, because a caller is
 * waiting.
 */
export function openQueue<T>(name: string, connection: Redis): Queue<T> {
  const queue = new Queue<T>(name, { connection, prefix: BULL_PREFIX, skipWaitingForReady: true });
  // The connection logs its own errors.
  queue.on('error', () => {});
  return queue as Queue<T>;
}
