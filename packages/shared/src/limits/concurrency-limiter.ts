import { HumancastError } from '../humancast-error.js';

export interface ConcurrencyLimit {
  /** The setting that an operator changes to raise the limit; told to the caller. */
  readonly setting: string;
  /** What is counted, for the error: "event streams". */
  readonly what: string;
  readonly limit: number;
}

/** What a refused caller should wait before the next attempt: places become free whenever somebody leaves. */
const RETRY_SECONDS = 5;

/** Limits how many may be open at once per key. Keys with nothing open are not remembered. */
export class ConcurrencyLimiter {
  readonly #limit: ConcurrencyLimit;
  readonly #open = new Map<string, number>();

  constructor(limit: ConcurrencyLimit) {
    this.#limit = limit;
  }

  /**
   * Takes a place.
   * @returns what gives it back; calling it again does nothing.
   * @throws HumancastError `too_many_connections`, with the setting's name as `limit`.
   */
  acquire(key: string): () => void {
    const { setting, what, limit } = this.#limit;
    const open = this.#open.get(key) ?? 0;
    if (open >= limit) {
      throw new HumancastError('too_many_connections', {
        detail: `${open} ${what} are open already; the limit is ${setting}`,
        retryAfterSeconds: RETRY_SECONDS,
        extra: { limit: setting },
      });
    }
    this.#open.set(key, open + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#release(key);
    };
  }

  /** How many places are taken under `key`. */
  count(key: string): number {
    return this.#open.get(key) ?? 0;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#open.size;
  }

  #release(key: string): void {
    const left = this.count(key) - 1;
    if (left > 0) this.#open.set(key, left);
    else this.#open.delete(key);
  }
}
