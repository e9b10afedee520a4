import type { Logger } from '@humancast/shared';

/** Writes that may wait; a session produces a few a second at most, so this many means minutes without Redis. */
const LIMIT = 1000;

/** → `false` when the writer's epoch is over. */
type Write = () => Promise<boolean>;

/** What a host has to say, one after the other, in order. The first refusal ends it. */
export class Outbox {
  readonly #logger: Logger;
  readonly #onRefused: () => void;
  readonly #writes: Write[] = [];
  #draining: Promise<void> | undefined;
  #closed = false;

  constructor(logger: Logger, onRefused: () => void) {
    this.#logger = logger;
    this.#onRefused = onRefused;
  }

  add(write: Write): void {
    if (this.#closed) return;
    if (this.#writes.length >= LIMIT) {
      this.#logger.error({ limit: LIMIT }, 'too many unsaid events: one is dropped');
      return;
    }
    this.#writes.push(write);
    this.#draining ??= this.#drain();
  }

  /** For what is superseded soon anyway. */
  addIfIdle(write: Write): void {
    if (!this.#draining) this.add(write);
  }

  /** Resolves when all that was added has been written, or refused. */
  async flush(): Promise<void> {
    await this.#draining;
  }

  close(): void {
    this.#closed = true;
    this.#writes.length = 0;
  }

  async #drain(): Promise<void> {
    for (let write = this.#writes.shift(); write; write = this.#writes.shift()) {
      try {
        if (await write()) continue;
        this.close();
        this.#onRefused();
      } catch (error) {
        this.#logger.error({ err: (error as Error).message }, 'an event could not be written');
      }
    }
    this.#draining = undefined;
  }
}
