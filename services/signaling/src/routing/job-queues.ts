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

export interface QueueLevels {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** For how long the oldest one has been waiting, ms; 0 when none does. */
  readonly oldestMs: number;
}

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

  /**
   * A host is wanted. The same session and epoch again changes nothing while the job waits.
   * → `false` when it has been taken already.
   */
  async requestHost(job: SessionJob): Promise<boolean> {
    const jobId = `${job.session}-${job.epoch}`;
    if ((await this.#sessions.getJobState(jobId)) === 'active') return false;
    // Who has had a host, and lost it, comes before all new ones: somebody watches already.
    await this.#sessions.add('host', job, { ...JOB_OPTIONS, jobId, lifo: job.epoch > 1 });
    return true;
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

  /** How many sessions wait for a place on a media-sender. */
  waitingCount(): Promise<number> {
    return this.#sessions.getWaitingCount();
  }

  /** Sessions that wait for a place on a media-sender, the next one first. */
  async waitingSessions(): Promise<string[]> {
    const ids = await this.#sessions.getRanges(['wait'], 0, POSITIONS_READ - 1, true);
    return ids.map((id) => id.slice(0, id.lastIndexOf('-')));
  }

  /** How much work there is: for all media-senders, and for these in particular. */
  async levels(senders: readonly string[]): Promise<Record<'sessions' | 'segments', QueueLevels>> {
    const [sessions, ...segments] = await Promise.all([
      levelsOf(this.#sessions),
      ...senders.map((sender) => levelsOf(this.#segmentsQueue(sender))),
    ]);
    return { sessions, segments: segments.reduce(both, EMPTY) };
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

const EMPTY: QueueLevels = { waiting: 0, active: 0, delayed: 0, failed: 0, oldestMs: 0 };

async function levelsOf(queue: Queue): Promise<QueueLevels> {
  const counts = await queue.getJobCounts('wait', 'active', 'delayed', 'failed');
  const count = (state: string) => counts[state] ?? 0;
  const [oldest] = count('wait') > 0 ? await queue.getJobs(['wait'], 0, 0, true) : [];
  return {
    waiting: count('wait'),
    active: count('active'),
    delayed: count('delayed'),
    failed: count('failed'),
    oldestMs: oldest ? Math.max(0, Date.now() - oldest.timestamp) : 0,
  };
}

function both(a: QueueLevels, b: QueueLevels): QueueLevels {
  return {
    waiting: a.waiting + b.waiting,
    active: a.active + b.active,
    delayed: a.delayed + b.delayed,
    failed: a.failed + b.failed,
    oldestMs: Math.max(a.oldestMs, b.oldestMs),
  };
}
