import {
  BULL_PREFIX,
  type Redis,
  SESSIONS_QUEUE,
  type SegmentJob,
  type SessionJob,
  segmentsQueue,
} from '@humancast/shared';
import { Queue } from 'bullmq';

/** Queues of media-senders kept at hand; each is an object without a connection of its own. */
const SENDER_QUEUES_KEPT = 256;
/** Places of the sessions queue looked at to tell viewers their position. */
const POSITIONS_READ = 1000;
/** A job is done with when it was taken: what lasts is in the session registry. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

/** The two kinds of work that signaling hands to media-senders. */
export class JobQueues {
  readonly #connection: Redis;
  readonly #sessions: Queue<SessionJob>;
  readonly #segments = new Map<string, Queue<SegmentJob>>();

  /** @param connection shared by all queues; the caller closes it, after {@link close}. */
  constructor(connection: Redis) {
    this.#connection = connection;
    this.#sessions = this.#open(SESSIONS_QUEUE);
  }

  /** A host is wanted. The same session and epoch again changes nothing while the job waits. */
  async requestHost(job: SessionJob): Promise<void> {
    await this.#sessions.add('host', job, { ...JOB_OPTIONS, jobId: `${job.session}-${job.epoch}` });
  }

  /** Tells a session's host that there is something to fetch, and say. */
  async announceSegments(host: string, jobs: readonly SegmentJob[]): Promise<void> {
    const queue = this.#segmentsQueue(host);
    await queue.addBulk(
      jobs.map((data) => ({
        name: 'segment',
        data,
        opts: { ...JOB_OPTIONS, jobId: `${data.session}-${data.seq}` },
      })),
    );
  }

  /** Sessions that wait for a place on a media-sender, the next one first. */
  async waitingSessions(): Promise<string[]> {
    const ids = await this.#sessions.getRanges(['wait'], 0, POSITIONS_READ - 1, true);
    return ids.map((id) => id.slice(0, id.lastIndexOf('-')));
  }

  /** Removes the queue of a media-sender that is gone for good. */
  async dropSender(host: string): Promise<void> {
    await this.#segmentsQueue(host).obliterate({ force: true });
    this.#segments.delete(host);
  }

  async close(): Promise<void> {
    await Promise.all([this.#sessions, ...this.#segments.values()].map((queue) => queue.close()));
  }

  #segmentsQueue(host: string): Queue<SegmentJob> {
    let queue = this.#segments.get(host);
    if (!queue) {
      queue = this.#open<SegmentJob>(segmentsQueue(host));
      this.#segments.set(host, queue);
      const [oldest] = this.#segments.keys();
      if (this.#segments.size > SENDER_QUEUES_KEPT && oldest !== undefined) this.#segments.delete(oldest);
    }
    return queue;
  }

  #open<T>(name: string): Queue<T> {
    const queue = new Queue<T>(name, {
      connection: this.#connection,
      prefix: BULL_PREFIX,
      // A caller is waiting: better `unavailable` at once than an answer when Redis is back.
      skipWaitingForReady: true,
    });
    // The connection itself logs when it goes and comes.
    queue.on('error', () => {});
    return queue as Queue<T>;
  }
}
