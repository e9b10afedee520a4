import { Queue } from 'bullmq';
import { BULL_PREFIX, segmentsQueue } from '../keys.js';
import type { Post } from '../mailbox/mailbox.js';
import type { SegmentJob } from '../messages/jobs.js';
import type { ToSender } from '../messages/post.js';
import type { Redis } from '../redis.js';
import type { QueuedSegment } from './session.js';
import type { SessionRegistry } from './session-registry.js';

/** A job is done with when it was taken: what lasts is in the session registry. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

/** Makes a session say segments: writes them down in its queue, and tells its host. */
export class Speech {
  readonly #registry: SessionRegistry;
  readonly #connection: Redis;
  readonly #post: Post<ToSender>;

  /** @param connection for the hosts' queues; the caller closes it. */
  constructor(registry: SessionRegistry, connection: Redis, post: Post<ToSender>) {
    this.#registry = registry;
    this.#connection = connection;
    this.#post = post;
  }

  /**
   * Queues segments in order; with `interrupt`, in place of everything that was queued or is being said.
   * @throws HumancastError `session_not_found`, `session_ended`, `queue_full`.
   */
  async speak(
    session: string,
    segments: readonly string[],
    options: { interrupt: boolean; limit: number; traceparent?: string | undefined },
  ): Promise<QueuedSegment[]> {
    const { queued, interruptedSeq, host } = await this.#registry.speak(session, segments, options);
    if (host === undefined) return queued;
    if (options.interrupt) await this.#post.send(host, { type: 'session.interrupt', session, seq: interruptedSeq });
    const { traceparent } = options;
    await this.#announce(
      host,
      queued.map((item) => ({ session, ...item, ...(traceparent !== undefined && { traceparent }) })),
    );
    return queued;
  }

  async #announce(host: string, jobs: readonly SegmentJob[]): Promise<void> {
    const queue = new Queue<SegmentJob>(segmentsQueue(host), {
      connection: this.#connection,
      prefix: BULL_PREFIX,
      // A caller is waiting: better an error at once than an answer when Redis is back.
      skipWaitingForReady: true,
    });
    // The connection itself logs when it goes and comes.
    queue.on('error', () => {});
    try {
      await queue.addBulk(
        jobs.map((data) => ({
          name: 'segment',
          data,
          opts: { ...JOB_OPTIONS, jobId: `${data.session}-${data.seq}` },
        })),
      );
    } finally {
      await queue.close();
    }
  }
}
