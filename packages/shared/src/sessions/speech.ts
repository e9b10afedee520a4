import type { Spoken } from '@humancast/protocol';
import type { Command } from '../idempotency.js';
import type { MailSender } from '../mailbox/mailbox.js';
import type { ToSender } from '../messages/mail.js';
import type { SegmentQueues } from './segment-queues.js';
import type { SessionRegistry } from './session-registry.js';

/** Makes sessions speak: appends segments to a session's queue and tells its host. */
export class Speech {
  readonly #registry: SessionRegistry;
  readonly #queues: Pick<SegmentQueues, 'announce'>;
  readonly #mail: MailSender<ToSender>;

  constructor(registry: SessionRegistry, queues: Pick<SegmentQueues, 'announce'>, mail: MailSender<ToSender>) {
    this.#registry = registry;
    this.#queues = queues;
    this.#mail = mail;
  }

  /**
   * Queues segments in order; with `interrupt`, in place of everything that was queued or is being played.
   * @param options.command A request that was done before is not queued again, but announced again: it may be the
   * announcement that failed, and the host ignores a second one.
   * @param options.turn The turn for which they were made; default: the current one.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`, `queue_full`, `idempotency_key_reused`.
   */
  async speak(
    session: string,
    segments: readonly string[],
    options: {
      interrupt: boolean;
      limit: number;
      turn?: number | undefined;
      traceparent?: string | undefined;
      command?: Command | undefined;
    },
  ): Promise<Spoken> {
    const { interrupt, limit, turn: stated, command, traceparent } = options;
    const request = { interrupt, limit, turn: stated, command };
    const { queued, interruptedSeq, turn, host } = await this.#registry.speak(session, segments, request);
    if (host === undefined) return { queued, turn };
    if (interrupt) await this.#mail.send(host, { type: 'session.interrupt', session, seq: interruptedSeq });
    await this.#queues.announce(
      host,
      queued.map((item) => ({ session, ...item, ...(traceparent !== undefined && { traceparent }) })),
    );
    return { queued, turn };
  }
}
