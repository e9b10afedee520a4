import {
  HumancastError,
  type MailSender,
  type SenderRecord,
  type SenderRegistry,
  type ToSender,
} from '@humancast/shared';
import type { JobQueues } from '../routing/job-queues.js';

/** Retry delay for callers while every media-sender is full. */
const FULL_RETRY_SECONDS = 5;

/** All media-senders: their capacity, and draining. */
export class Fleet {
  readonly #senders: SenderRegistry;
  readonly #jobs: JobQueues;
  readonly #mail: MailSender<ToSender>;

  constructor(parts: { senders: SenderRegistry; jobs: JobQueues; mail: MailSender<ToSender> }) {
    this.#senders = parts.senders;
    this.#jobs = parts.jobs;
    this.#mail = parts.mail;
  }

  /**
   * Requires capacity for one more session. Two simultaneous callers may both be admitted to the last capacity; then one of
   * them waits.
   * @throws HumancastError `no_capacity`.
   */
  async requirePlace(): Promise<void> {
    const [senders, waiting] = await Promise.all([this.#senders.list(), this.#jobs.waitingCount()]);
    const free = senders.reduce((sum, { record }) => sum + (record ? freePlaces(record) : 0), 0);
    if (free <= waiting) throw new HumancastError('no_capacity', { retryAfterSeconds: FULL_RETRY_SECONDS });
  }

  /** Requests a media-sender to hand over its sessions and accept no more. @throws HumancastError `sender_not_found`. */
  async drain(sender: string): Promise<void> {
    const taken = (await this.#senders.isAlive(sender)) && (await this.#mail.send(sender, { type: 'sender.drain' }));
    if (!taken) throw new HumancastError('sender_not_found', `no media-sender has the id ${sender}`);
  }
}

/** @returns The number of sessions with one viewer each for which a media-sender has capacity. */
function freePlaces({ accepting, draining, sessions, capacity, viewers, viewerCapacity }: SenderRecord): number {
  if (!accepting || draining) return 0;
  const free = viewerCapacity === 0 ? capacity - sessions : Math.min(capacity - sessions, viewerCapacity - viewers);
  return Math.max(0, free);
}
