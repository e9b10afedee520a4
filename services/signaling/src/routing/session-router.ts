import type { MailSender, SessionRecord, SessionRegistry, ToSender } from '@humancast/shared';
import type { JobQueues } from './job-queues.js';

/** Finds hosts for sessions and sends them messages. A media-sender's mailbox address is its id. */
export class SessionRouter {
  readonly #registry: SessionRegistry;
  readonly #jobs: JobQueues;
  readonly #mail: MailSender<ToSender>;

  constructor(registry: SessionRegistry, jobs: JobQueues, mail: MailSender<ToSender>) {
    this.#registry = registry;
    this.#jobs = jobs;
    this.#mail = mail;
  }

  /** @returns Whether it was accepted; `false` if that media-sender is gone, and the sweeper will move its sessions. */
  send(host: string, message: ToSender): Promise<boolean> {
    return this.#mail.send(host, message);
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

  /** Announces a viewer that joined or needs a new connection. @param host The session's host, if known. */
  async viewerWaits(session: string, host: string | undefined, traceparent?: string): Promise<void> {
    await this.viewersChanged(session, host);
    await this.request(session, traceparent);
  }

  /** Asks the host to re-read the session's viewers. */
  async viewersChanged(session: string, host: string | undefined): Promise<void> {
    if (host !== undefined) await this.send(host, { type: 'viewers.changed', session });
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

  dropSender(host: string): Promise<void> {
    return this.#jobs.dropSender(host);
  }
}
