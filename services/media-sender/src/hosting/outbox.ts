import type { Logger } from '@humancast/shared';

/** Writes that may wait; a session produces a few a second at most, so this many means minutes without Redis. */
const LIMIT = 1000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;

/** → `false` when the writer's epoch is over. */
type Write = () => Promise<boolean>;

/**
 * What a host has to say, one after the other, in order. What can't be written now is tried until it is: each write does
 * nothing the second time. The first refusal ends it.
 */
export class Outbox {
  readonly #logger: Logger;
  readonly #onRefused: () => void;
  readonly #writes: Write[] = [];
  #draining: Promise<void> | undefined;
  #wake = () => {};
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

  /** Resolves when all that was added has been written, or refused, or the time is up. → whether nothing is left. */
  async flush(timeoutMs: number): Promise<boolean> {
    if (!this.#draining) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    void this.#draining.then(() => resolve(true));
    const flushed = await promise;
    clearTimeout(timer);
    return flushed;
  }

  close(): void {
    this.#closed = true;
    this.#writes.length = 0;
    this.#wake();
  }

  async #drain(): Promise<void> {
    let delayMs = FIRST_RETRY_MS;
    for (let write = this.#writes[0]; write; write = this.#writes[0]) {
      try {
        if (!(await write())) {
          this.close();
          this.#onRefused();
          break;
        }
        this.#writes.shift();
        delayMs = FIRST_RETRY_MS;
      } catch (error) {
        this.#logger.warn({ err: (error as Error).message, delayMs }, 'an event could not be written yet');
        await this.#pause(delayMs);
        delayMs = Math.min(2 * delayMs, MAX_RETRY_MS);
      }
    }
    this.#draining = undefined;
  }

  async #pause(delayMs: number): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
