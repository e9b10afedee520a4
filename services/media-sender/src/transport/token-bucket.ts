export interface Rate {
  readonly perSecond: number;
  /** Maximum number at once, after a pause. */
  readonly burst: number;
}

/** Limits a rate. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #tokens: number;
  #filledAtMs: number;

  /** @param nowMs monotonic. */
  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#tokens = rate.burst;
    this.#filledAtMs = nowMs();
  }

  /** @returns whether a token was left. */
  take(): boolean {
    const { perSecond, burst } = this.#rate;
    const nowMs = this.#nowMs();
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) * perSecond) / 1000);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
