import type { Logger } from '@humancast/shared';

/** Writes that may wait before those that can be missed are left out; minutes without Redis. */
const LIMIT = 1000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;

/** → `false` when the writer's epoch is over. */
type Write = () => Promise<boolean>;

/**
 * What a host has to say, one after the other, in order. What can't be written now is tried until it is: each write does
 * nothing the second time. The first refusal ends it.
 *
 * It is bounded without losing a report: reports are two for each queued segment at most (`started`, `finished`), a segment
 * leaves the session's queue in Redis when its report is written, and that queue has a limit. Everything else has {@link LIMIT}.
 */
export class Outbox {
  readonly #logger: Logger;
  readonly #onRefused: () => void;
  readonly #writes: Write[] = [];
  #draining: Promise<void> | undefined;
  #wake = () => {};
  #closed = false;
  #leftOut = 0;

  constructor(logger: Logger, onRefused: () => void) {
    this.#logger = logger;
    this.#onRefused = onRefused;
  }

  /** For what must be said once. */
  add(write: Write): void {
    if (this.#closed) return;
    this.#writes.push(write);
    this.#draining ??= this.#drain();
  }

  /** For what can be missed: left out while {@link LIMIT} writes wait. */
  addIfRoom(write: Write): void {
    if (this.#writes.length < LIMIT) {
      this.#leftOut = 0;
      this.add(write);
    } else if (this.#leftOut++ === 0) {
      this.#logger.error({ limit: LIMIT }, 'events left out: too many wait to be written');
    }
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
