import { randomUUID } from 'node:crypto';
import type { Inspection, ToSender, ToSignaling } from '@humancast/shared';
import type { SessionRouter } from './session-router.js';

/** Limit of pending requests. */
const PENDING_LIMIT = 1000;

export type HostAnswer = Extract<ToSignaling, { type: 'session.inspected' | 'viewer.restarted' }>;
type Restart = Extract<ToSender, { type: 'viewer.restart' }>;

export interface HostRequestsOptions {
  /** Address of this process's mailbox. */
  replyTo: string;
  /** Time limits for answers, ms. */
  inspectMs: number;
  restartMs: number;
}

/** Requests to a session's host that are answered by a message. */
export class HostRequests {
  readonly #router: SessionRouter;
  readonly #options: HostRequestsOptions;
  readonly #pending = new Map<string, (answer: HostAnswer) => void>();

  constructor(router: SessionRouter, options: HostRequestsOptions) {
    this.#router = router;
    this.#options = options;
  }

  /** @returns The host's current playhead; `undefined` if it does not answer in time. */
  async inspect(session: string, host: string): Promise<Inspection | undefined> {
    const answer = await this.#ask(host, { type: 'session.inspect', session }, this.#options.inspectMs);
    return answer?.type === 'session.inspected' ? answer.inspection : undefined;
  }

  /**
   * Starts a new ICE session of a WHEP player.
   * @returns The host's side of it, which is missing if it has no such connection; `undefined` if it does not answer in
   * time.
   */
  async restartIce(
    host: string,
    restart: Omit<Restart, 'type' | 'request' | 'replyTo'>,
  ): Promise<{ fragment?: string | undefined } | undefined> {
    const answer = await this.#ask(host, { type: 'viewer.restart', ...restart }, this.#options.restartMs);
    return answer?.type === 'viewer.restarted' ? answer : undefined;
  }

  answered(answer: HostAnswer): void {
    this.#pending.get(answer.request)?.(answer);
  }

  async #ask(
    host: string,
    message: { type: 'session.inspect'; session: string } | Omit<Restart, 'request' | 'replyTo'>,
    timeoutMs: number,
  ): Promise<HostAnswer | undefined> {
    if (this.#pending.size >= PENDING_LIMIT) return undefined;
    const request = randomUUID();
    const { promise, resolve } = Promise.withResolvers<HostAnswer | undefined>();
    this.#pending.set(request, resolve);
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    try {
      const sent = await this.#router.send(host, { ...message, request, replyTo: this.#options.replyTo });
      return sent ? await promise : undefined;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(request);
    }
  }
}
