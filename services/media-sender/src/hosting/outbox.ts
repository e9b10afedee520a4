import type { Logger } from '@humancast/shared';

/** Pending writes beyond which optional ones are left out; reached after minutes without Redis. */
const LIMIT = 1000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 2000;

/** @returns `false` if the writer's epoch is over. */
type Write = () => Promise<boolean>;

/**
 * Writes what a host reports, in order and one at a time. A write that fails is retried until it succeeds; each is
 * idempotent. The first one that is rejected closes the outbox.
 *
 * Its size is bounded without losing a report: each queued segment has two reports at most (`started`, `finished`), it
 * leaves the session's queue in Redis when its report is written, and that queue has a limit. Everything else is limited by
 * {@link LIMIT}.
 */
export class Outbox {
  readonly #logger: Logger;
  readonly #onRejected: () => void;
  readonly #writes: Write[] = [];
  #draining: Promise<void> | undefined;
  #wake = () => {};
  #closed = false;
  #omitted = 0;

  constructor(logger: Logger, onRejected: () => void) {
    this.#logger = logger;
    this.#onRejected = onRejected;
  }

  /** Adds a write that must happen. */
  add(write: Write): void {
    if (this.#closed) return;
    this.#writes.push(write);
    this.#draining ??= this.#drain();
  }

  /** Adds an optional write, which is dropped while {@link LIMIT} writes are pending. */
  addIfRoom(write: Write): void {
    if (this.#writes.length < LIMIT) {
      this.#omitted = 0;
      this.add(write);
    } else if (this.#omitted++ === 0) {
      this.#logger.error({ limit: LIMIT }, 'leaving out events, too many writes pending');
    }
  }

  /** Adds a write only if none is pending; a later one will supersede it. */
  addIfIdle(write: Write): void {
    if (!this.#draining) this.add(write);
  }

  /** Waits until all pending writes have been written or rejected, or the time is up. @returns Whether none is left. */
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
          this.#onRejected();
          break;
        }
        this.#writes.shift();
        delayMs = FIRST_RETRY_MS;
      } catch (error) {
        this.#logger.warn({ err: (error as Error).message, delayMs }, 'writing event failed, retrying');
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
