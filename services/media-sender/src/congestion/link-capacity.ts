const SMOOTHING = 0.95;
/** Normalized variance, kb/s: initial value and range. */
const FIRST_DEVIATION = 0.4;
const DEVIATION_RANGE = [0.4, 2.5] as const;
const DEVIATIONS = 3;

/**
 * Estimates the link's capacity as the smoothed mean and spread of the rates received during overuse; the owner resets it
 * when it no longer fits.
 */
export class LinkCapacity {
  #kbps: number | undefined;
  #deviation = FIRST_DEVIATION;

  /** @param receivedBps Rate received while a queue was building up. */
  overused(receivedBps: number): void {
    const sample = receivedBps / 1000;
    this.#kbps = this.#kbps === undefined ? sample : SMOOTHING * this.#kbps + (1 - SMOOTHING) * sample;
    const error = (this.#kbps - sample) ** 2 / Math.max(this.#kbps, 1);
    const deviation = SMOOTHING * this.#deviation + (1 - SMOOTHING) * error;
    this.#deviation = Math.min(Math.max(deviation, DEVIATION_RANGE[0]), DEVIATION_RANGE[1]);
  }

  /** @returns Whether a rate is near the capacity, from where it is raised slowly. */
  isNear(bps: number): boolean {
    return this.#kbps !== undefined && Math.abs(bps / 1000 - this.#kbps) <= this.#spread();
  }

  /** @returns Whether a rate is well above or below the capacity, which means that the link has changed. */
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
