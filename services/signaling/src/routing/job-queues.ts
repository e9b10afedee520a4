import {
  openQueue,
  type Redis,
  SESSIONS_QUEUE,
  type SegmentQueues,
  type SessionJob,
  VIEWERS_QUEUE,
  type ViewerJob,
  viewerJobId,
} from '@humancast/shared';
import type { Queue } from 'bullmq';

/** Number of entries of a queue that are read to tell viewers their position. */
const POSITIONS_READ = 1000;
/** A job completes when it is taken: the durable state is in the session registry. */
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

export interface QueueLevels {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Age of the oldest waiting job, ms; 0 if none waits. */
  readonly oldestMs: number;
}

export type QueueName = 'sessions' | 'viewers' | 'segments';

/** Queues of work for media-senders: sessions without a host, viewers that their host has no capacity for, and segments. */
export class JobQueues {
  readonly #sessions: Queue<SessionJob>;
  readonly #viewers: Queue<ViewerJob>;
  readonly #segments: SegmentQueues;

  /** @param connection Shared by all queues; the caller closes it after {@link close}. */
  constructor(connection: Redis, segments: SegmentQueues) {
    this.#sessions = openQueue(SESSIONS_QUEUE, connection);
    this.#viewers = openQueue(VIEWERS_QUEUE, connection);
    this.#segments = segments;
  }

  /**
   * Adds a job to host a session. A second one for the same session and epoch has no effect while the first waits.
   * @returns `false` if the job was already taken.
   */
  async requestHost(job: SessionJob): Promise<boolean> {
    const jobId = `${job.session}-${job.epoch}`;
    if ((await this.#sessions.getJobState(jobId)) === 'active') return false;
    // A session that lost its host goes first, because it already has viewers.
    await this.#sessions.add('host', job, { ...JOB_OPTIONS, jobId, lifo: job.epoch > 1 });
    return true;
  }

  /** @returns The number of sessions and viewers that wait for a media-sender. */
  async waitingCount(): Promise<number> {
    const [sessions, viewers] = await Promise.all([this.#sessions.getWaitingCount(), this.#viewers.getWaitingCount()]);
    return sessions + viewers;
  }

  /** @returns The sessions that wait for a media-sender, the next one first. */
  async waitingSessions(): Promise<string[]> {
    const ids = await this.#sessions.getRanges(['wait'], 0, POSITIONS_READ - 1, true);
    return ids.map((id) => id.slice(0, id.lastIndexOf('-')));
  }

  /** @returns The viewers for whom their host has no capacity, the next one first. */
  async waitingViewers(): Promise<string[]> {
    const ids = await this.#viewers.getRanges(['wait'], 0, POSITIONS_READ - 1, true);
    return ids.map((id) => id.split('/')[1] ?? '');
  }

  async isViewerQueued(job: ViewerJob): Promise<boolean> {
    const state = await this.#viewers.getJobState(viewerJobId(job));
    return state !== 'unknown' && state !== 'completed' && state !== 'failed';
  }

  /** @returns The levels of the shared queues, and of these media-senders' segment queues together. */
  async levels(senders: readonly string[]): Promise<Record<QueueName, QueueLevels>> {
    const [sessions, viewers, ...segments] = await Promise.all([
      levelsOf(this.#sessions),
      levelsOf(this.#viewers),
      ...senders.map((sender) => levelsOf(this.#segments.of(sender))),
    ]);
    return { sessions, viewers, segments: segments.reduce(both, EMPTY) };
  }

  /** Removes the queue of a media-sender that is gone for good. */
  dropSender(host: string): Promise<void> {
    return this.#segments.drop(host);
  }

  async close(): Promise<void> {
    await Promise.all([this.#sessions.close(), this.#viewers.close(), this.#segments.close()]);
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
