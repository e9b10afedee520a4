const SMOOTHING = 0.95;
/** Normalized variance, kb/s: where it starts, and its bounds. */
const FIRST_DEVIATION = 0.4;
const DEVIATION_RANGE = [0.4, 2.5] as const;
const DEVIATIONS = 3;

/** What the link carried when it was full: a smoothed mean with its spread, forgotten when it no longer fits. */
export class LinkCapacity {
  #kbps: number | undefined;
  #deviation = FIRST_DEVIATION;

  /** @param receivedBps what arrived while a queue was building up. */
  overused(receivedBps: number): void {
    const sample = receivedBps / 1000;
    this.#kbps = this.#kbps === undefined ? sample : SMOOTHING * this.#kbps + (1 - SMOOTHING) * sample;
    const error = (this.#kbps - sample) ** 2 / Math.max(this.#kbps, 1);
    const deviation = SMOOTHING * this.#deviation + (1 - SMOOTHING) * error;
    this.#deviation = Math.min(Math.max(deviation, DEVIATION_RANGE[0]), DEVIATION_RANGE[1]);
  }

  /** Whether a rate is about what the link carried: from here on, it is raised gently. */
  isNear(bps: number): boolean {
    return this.#kbps !== undefined && Math.abs(bps / 1000 - this.#kbps) <= this.#spread();
  }

  /** Whether so much was never possible, or was never possible so far below: then the link is another one. */
  isOutside(bps: number): boolean {
    return this.#kbps !== undefined && Math.abs(bps / 1000 - this.#kbps) > this.#spread();
  }

  reset(): void {
    this.#kbps = undefined;
  }

  #spread(): number {
    return DEVIATIONS * Math.sqrt(this.#deviation * (this.#kbps ?? 0));
  }
}
