import type { Post, SessionRecord, SessionRegistry, ToSender } from '@humancast/shared';
import type { JobQueues } from './job-queues.js';

/** What signaling tells media-senders. A media-sender's mailbox address is its id. */
export class SessionRouter {
  readonly #registry: SessionRegistry;
  readonly #jobs: JobQueues;
  readonly #post: Post<ToSender>;

  constructor(registry: SessionRegistry, jobs: JobQueues, post: Post<ToSender>) {
    this.#registry = registry;
    this.#jobs = jobs;
    this.#post = post;
  }

  /** → whether it was taken; `false` when that media-sender is gone, and the sweeper will find its sessions a new one. */
  tell(host: string, message: ToSender): Promise<boolean> {
    return this.#post.send(host, message);
  }

  /**
   * Somebody watches: makes sure that somebody hosts, too. May be called again at any time: a job that was lost is made
   * again after some seconds, one that is there stays.
   * @param traceparent what the host's beginning is a part of.
   */
  async request(session: string, traceparent?: string): Promise<void> {
    const trace = traceparent === undefined ? {} : { traceparent };
    const epoch = await this.#registry.requestHost(session);
    if (epoch === undefined || (await this.#jobs.requestHost({ session, epoch, ...trace }))) return;
    // Whoever took the job died before it could host.
    const next = await this.#registry.supersede(session, epoch);
    if (next !== undefined) await this.#jobs.requestHost({ session, epoch: next, ...trace });
  }

  /** A viewer came, wants a new connection, or is reached elsewhere. @param host who hosts the session, if known. */
  async viewerWaits(session: string, host: string | undefined, traceparent?: string): Promise<void> {
    await this.viewersChanged(session, host);
    await this.request(session, traceparent);
  }

  /** The host should look at the viewers again. */
  async viewersChanged(session: string, host: string | undefined): Promise<void> {
    if (host !== undefined) await this.tell(host, { type: 'viewers.changed', session });
  }

  /**
   * The right to host is taken from a media-sender that has vanished. → whether it had it, and has not come back.
   * @param session as read before its host was found dead.
   */
  async release({ id, host = '', epoch, resumptions }: SessionRecord): Promise<boolean> {
    const next = await this.#registry.release(id, host, epoch, resumptions);
    if (next !== undefined) await this.#jobs.requestHost({ session: id, epoch: next });
    return next !== undefined;
  }

  waitingSessions(): Promise<string[]> {
    return this.#jobs.waitingSessions();
  }

  dropSender(host: string): Promise<void> {
    return this.#jobs.dropSender(host);
  }
}
