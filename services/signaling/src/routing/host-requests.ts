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

/** Requests to a session's host or follower that are answered by a message. */
export class HostRequests {
  readonly #router: SessionRouter;
  readonly #options: HostRequestsOptions;
  readonly #pending = new Map<string, (answer: HostAnswer) => void>();

  constructor(router: SessionRouter, options: HostRequestsOptions) {
    this.#router = router;
    this.#options = options;
  }

  /**
   * @param viewers The viewers served there of whom reports are wanted.
   * @returns The session's current state at a media-sender; `undefined` if it does not answer in time.
   */
  async inspect(session: string, sender: string, viewers: readonly string[]): Promise<Inspection | undefined> {
    const message = { type: 'session.inspect' as const, session, viewers: [...viewers] };
    const answer = await this.#ask(sender, message, this.#options.inspectMs);
    return answer?.type === 'session.inspected' ? answer.inspection : undefined;
  }

  /**
   * Starts a new ICE session of a WHEP player.
   * @returns The media-sender's side of it, which is missing if it has no such connection; `undefined` if it does not answer in
   * time.
   */
  async restartIce(
    sender: string,
    restart: Omit<Restart, 'type' | 'request' | 'replyTo'>,
  ): Promise<{ fragment?: string | undefined } | undefined> {
    const answer = await this.#ask(sender, { type: 'viewer.restart', ...restart }, this.#options.restartMs);
    return answer?.type === 'viewer.restarted' ? answer : undefined;
  }

  answered(answer: HostAnswer): void {
    this.#pending.get(answer.request)?.(answer);
  }

  async #ask(
    sender: string,
    message: { type: 'session.inspect'; session: string; viewers: string[] } | Omit<Restart, 'request' | 'replyTo'>,
    timeoutMs: number,
  ): Promise<HostAnswer | undefined> {
    if (this.#pending.size >= PENDING_LIMIT) return undefined;
    const request = randomUUID();
    const { promise, resolve } = Promise.withResolvers<HostAnswer | undefined>();
    this.#pending.set(request, resolve);
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    try {
      const sent = await this.#router.send(sender, { ...message, request, replyTo: this.#options.replyTo });
      return sent ? await promise : undefined;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(request);
    }
  }
}
