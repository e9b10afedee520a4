import { HumancastError } from '../humancast-error.js';

export interface ConcurrencyLimit {
  /** The setting that raises the limit; part of the error. */
  readonly setting: string;
  /** The counted things, as the error names them: "event streams". */
  readonly what: string;
  readonly limit: number;
}

/** Retry delay for rejected callers, s: capacity is released whenever somebody leaves. */
const RETRY_SECONDS = 5;

/** Limits how many may be open at once per key. Keys with nothing open are not remembered. */
export class ConcurrencyLimiter {
  readonly #limit: ConcurrencyLimit;
  readonly #open = new Map<string, number>();

  constructor(limit: ConcurrencyLimit) {
    this.#limit = limit;
  }

  /**
   * Reserves one.
   * @returns A function that releases it; further calls have no effect.
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

  /** @returns The number of reservations of `key`. */
  count(key: string): number {
    return this.#open.get(key) ?? 0;
  }

  /** Number of keys that are remembered. */
  get size(): number {
    return this.#open.size;
  }

  #release(key: string): void {
    const left = this.count(key) - 1;
    if (left > 0) this.#open.set(key, left);
    else this.#open.delete(key);
  }
}
