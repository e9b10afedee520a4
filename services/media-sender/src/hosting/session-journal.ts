import type { FinishReason, QueuedSegment } from '@humancast/protocol';
import { HumancastError, type Logger, type Playhead, type SessionRegistry } from '@humancast/shared';
import { Outbox } from './outbox.js';

/** Maximum wait for pending writes at the end, so that a shutdown does not block on Redis. */
const FLUSH_TIMEOUT_MS = 3000;
/** Interval at which the playhead of an idle clip is saved. */
const IDLE_PLAYHEAD_MS = 1000;

export interface SessionJournalOptions {
  session: string;
  epoch: number;
  registry: Pick<SessionRegistry, 'emit' | 'end' | 'savePlayhead' | 'speechFinished' | 'speechStarted'>;
  logger: Logger;
  /** The epoch is over: another host has taken the session. */
  onRejected: () => void;
}

/** Writes a session's events, playhead and end to Redis, in order and each under the host's epoch. */
export class SessionJournal {
  readonly #options: SessionJournalOptions;
  readonly #outbox: Outbox;
  #emitted = 0;
  #playheadSavedAtMs = 0;

  constructor(options: SessionJournalOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.logger, options.onRejected);
  }

  /** Writes an event that may be dropped while too many are pending. */
  emit(body: Parameters<SessionRegistry['emit']>[2]): void {
    const { registry, session, epoch } = this.#options;
    const number = ++this.#emitted;
    this.#outbox.addIfRoom(() => registry.emit(session, epoch, body, number));
  }

  speechStarted(queued: QueuedSegment): void {
    const { registry, session, epoch } = this.#options;
    this.#outbox.add(() => registry.speechStarted(session, epoch, queued));
  }

  speechFinished({ seq, segment }: QueuedSegment, positionMs: number, reason: FinishReason, text?: string): void {
    const { registry, session, epoch } = this.#options;
    const interrupted = reason === 'interrupted' || reason === 'dropped';
    this.#outbox.add(() =>
      registry.speechFinished(session, epoch, {
        type: 'speech.finished',
        seq,
        segment,
        positionMs: Math.round(positionMs),
        interrupted,
        reason,
        ...(text !== undefined && { text }),
      }),
    );
  }

  /** Saves the playhead, unless other writes are pending or an idle clip's was saved recently. */
  savePlayhead(playhead: Playhead): void {
    const { registry, session, epoch } = this.#options;
    if (playhead.role === 'idle' && playhead.atMs - this.#playheadSavedAtMs < IDLE_PLAYHEAD_MS) return;
    this.#playheadSavedAtMs = playhead.atMs;
    this.#outbox.addIfIdle(() => registry.savePlayhead(session, epoch, playhead));
  }

  /** Ends the session after pending writes. While Redis is unreachable, writing continues in the background. */
  async end(reason: string): Promise<void> {
    const { registry, session, epoch } = this.#options;
    this.#outbox.add(async () => {
      await registry.end(session, reason, epoch).catch((error: unknown) => {
        if (!(error instanceof HumancastError)) throw error;
      });
      return true;
    });
    await this.#outbox.flush(FLUSH_TIMEOUT_MS);
  }

  /** Completes pending writes and accepts no more, because the session is handed over. */
  async release(): Promise<void> {
    await this.#outbox.flush(FLUSH_TIMEOUT_MS);
    this.close();
  }

  /** Drops pending writes and accepts no more. */
  close(): void {
    this.#outbox.close();
  }
}
