/** A token bucket: admits `perSecond` on average and up to `capacity` at once. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #atMs: number;

  /** @param nowMs A monotonic clock, in milliseconds. */
  constructor(capacity: number, perSecond: number, nowMs: () => number = () => performance.now()) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#tokens = capacity;
    this.#atMs = nowMs();
  }

  /** Takes one token. @returns `false` if there is none. */
  take(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Whether the bucket is in its initial state, so that it need not be remembered. */
  get full(): boolean {
    this.#refill();
    return this.#tokens >= this.#capacity;
  }

  /** Milliseconds until `take()` succeeds; 0 if it does now. */
  get waitMs(): number {
    this.#refill();
    return Math.max(0, ((1 - this.#tokens) / this.#perSecond) * 1000);
  }

  #refill(): void {
    const nowMs = this.#nowMs();
    this.#tokens = Math.min(this.#capacity, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#perSecond);
    this.#atMs = nowMs;
  }
}
