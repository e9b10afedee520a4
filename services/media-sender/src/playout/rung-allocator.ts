/** A larger rung must fit with this margin. */
const RAISE_MARGIN = 1.15;
/**
 * Wait before the first step up after a step down, ms; doubled whenever a step up lasted less than {@link HOLDS_MS}.
 */
const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 16_000;
const HOLDS_MS = 6000;

/** Chooses a viewer's rendition: the largest that fits, with hysteresis. Rung 0 is the largest. */
export class RungAllocator {
  #rung: number | undefined;
  #raisedAtMs = Number.NEGATIVE_INFINITY;
  #raiseAfterMs = Number.NEGATIVE_INFINITY;
  #waitMs = FIRST_WAIT_MS;

  /**
   * @param ratesBps The bitrate of each rung, bits per second.
   * @returns The rung to send from now on: the smallest if none fits.
   */
  choose(ratesBps: readonly number[], budgetBps: number, nowMs: number): number {
    const smallest = ratesBps.length - 1;
    const current = this.#rung === undefined ? undefined : Math.min(this.#rung, smallest);
    let rung = 0;
    while (rung < smallest && !fits(ratesBps[rung] ?? 0, budgetBps, current !== undefined && rung < current)) rung++;
    if (current !== undefined && rung < current) {
      // Shortly after a failed step up, the estimate is not reliable yet.
      if (nowMs < this.#raiseAfterMs) rung = current;
      else this.#raisedAtMs = nowMs;
    } else if (current !== undefined && rung > current) {
      const held = nowMs - this.#raisedAtMs > HOLDS_MS;
      this.#waitMs = held ? FIRST_WAIT_MS : Math.min(this.#waitMs * 2, MAX_WAIT_MS);
      this.#raiseAfterMs = nowMs + this.#waitMs;
    }
    this.#rung = rung;
    return rung;
  }
}

function fits(rateBps: number, budgetBps: number, isAbove: boolean): boolean {
  return rateBps * (isAbove ? RAISE_MARGIN : 1) <= budgetBps;
}
