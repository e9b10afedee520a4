import { randomUUID } from 'node:crypto';
import type { Inspection } from '@humancast/shared';
import type { SessionRouter } from './session-router.js';

/** Limit of pending inspections. */
const PENDING_LIMIT = 1000;

/** Asks a session's host for its current playhead. */
export class Inspector {
  readonly #router: SessionRouter;
  readonly #replyTo: string;
  readonly #timeoutMs: number;
  readonly #pending = new Map<string, (inspection: Inspection) => void>();

  /** @param replyTo address of this process's mailbox. */
  constructor(router: SessionRouter, replyTo: string, timeoutMs: number) {
    this.#router = router;
    this.#replyTo = replyTo;
    this.#timeoutMs = timeoutMs;
  }

  /** @returns `undefined` if the host does not answer in time. */
  async inspect(session: string, host: string): Promise<Inspection | undefined> {
    if (this.#pending.size >= PENDING_LIMIT) return undefined;
    const request = randomUUID();
    const { promise, resolve } = Promise.withResolvers<Inspection | undefined>();
    this.#pending.set(request, resolve);
    const timer = setTimeout(() => resolve(undefined), this.#timeoutMs);
    try {
      const sent = await this.#router.tell(host, {
        type: 'session.inspect',
        session,
        request,
        replyTo: this.#replyTo,
      });
      return sent ? await promise : undefined;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(request);
    }
  }

  answered(request: string, inspection: Inspection): void {
    this.#pending.get(request)?.(inspection);
  }
}
