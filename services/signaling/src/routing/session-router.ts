import type { MailSender, SessionRecord, SessionRegistry, ToSender, ViewerJob } from '@humancast/shared';
import type { JobQueues } from './job-queues.js';

interface ViewerKey {
  readonly session: string;
  readonly viewer: string;
}

/** The media-senders that served a session when it ended. */
interface EndedAt {
  readonly host: string | undefined;
  readonly followers: readonly string[];
}

/** Finds hosts for sessions, and sends messages to hosts and followers. A media-sender's mailbox address is its ID. */
export class SessionRouter {
  readonly #registry: SessionRegistry;
  readonly #jobs: JobQueues;
  readonly #mail: MailSender<ToSender>;

  constructor(registry: SessionRegistry, jobs: JobQueues, mail: MailSender<ToSender>) {
    this.#registry = registry;
    this.#jobs = jobs;
    this.#mail = mail;
  }

  /**
   * @returns Whether it was accepted; `false` if that media-sender is gone, and the sweeper will move its sessions and
   * viewers.
   */
  send(sender: string, message: ToSender): Promise<boolean> {
    return this.#mail.send(sender, message);
  }

  /**
   * Requests a host for a session that is being watched. May be called repeatedly: a lost job is added again after some
   * seconds, a waiting one stays.
   * @param traceparent Trace context for the host.
   */
  async request(session: string, traceparent?: string): Promise<void> {
    const trace = traceparent === undefined ? {} : { traceparent };
    const epoch = await this.#registry.requestHost(session);
    if (epoch === undefined || (await this.#jobs.requestHost({ session, epoch, ...trace }))) return;
    // The media-sender that took the job died before it could claim the session.
    const next = await this.#registry.supersede(session, epoch);
    if (next !== undefined) await this.#jobs.requestHost({ session, epoch: next, ...trace });
  }

  /**
   * Announces a viewer that joined or needs a new connection.
   * @param sender The media-sender that serves it, if any.
   * @param traceparent Trace context for the host.
   */
  async viewerWaits(
    { session, viewer }: ViewerKey,
    sender: string | undefined,
    traceparent: string | undefined,
  ): Promise<void> {
    await this.viewersChanged(session, sender, viewer);
    await this.request(session, traceparent);
  }

  /** Asks a media-sender to read one viewer again, or all of its viewers of the session. */
  async viewersChanged(session: string, sender: string | undefined, viewer?: string): Promise<void> {
    if (sender === undefined) return;
    await this.send(sender, { type: 'viewers.changed', session, ...(viewer !== undefined && { viewer }) });
  }

  /** Tells the host and all followers that the session has ended. */
  async sessionEnded(session: string, reason: string, { host, followers }: EndedAt): Promise<void> {
    const senders = new Set([...(host === undefined ? [] : [host]), ...followers]);
    await Promise.all([...senders].map((sender) => this.send(sender, { type: 'session.end', session, reason })));
  }

  /**
   * Takes a session's viewers from a dead follower; the host places them again.
   * @returns The number of viewers; `undefined` if it did not follow the session.
   */
  async releaseViewers(session: string, follower: string): Promise<number | undefined> {
    if (!(await this.#registry.follows(session, follower))) return undefined;
    const { viewers, host } = await this.#registry.unplaceViewers(session, follower);
    await this.viewersChanged(session, host);
    // It may only have been paused, and serve them still.
    await this.viewersChanged(session, follower);
    return viewers;
  }

  /**
   * Takes a session's lease from a dead media-sender.
   * @param session The session as read before its host was found dead.
   * @returns Whether the media-sender still had the lease.
   */
  async release({ id, host = '', epoch, resumptions }: SessionRecord): Promise<boolean> {
    const next = await this.#registry.release(id, host, epoch, resumptions);
    if (next !== undefined) await this.#jobs.requestHost({ session: id, epoch: next });
    return next !== undefined;
  }

  waitingSessions(): Promise<string[]> {
    return this.#jobs.waitingSessions();
  }

  waitingViewers(): Promise<string[]> {
    return this.#jobs.waitingViewers();
  }

  /** @returns Whether the viewer waits for a media-sender with capacity; then its host need not be asked again. */
  isQueued(job: ViewerJob): Promise<boolean> {
    return this.#jobs.isViewerQueued(job);
  }

  dropSender(host: string): Promise<void> {
    return this.#jobs.dropSender(host);
  }
}
