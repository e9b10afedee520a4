/** To go up, a rung must fit with so much to spare. */
const RAISE_MARGIN = 1.15;
/** After going down, the first step up waits so long; twice as long each time that a step up did not hold. */
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 16_000;
const HOLDS_MS = 6000;

/** Chooses a viewer's rendition: the largest that fits, with hysteresis. Rung 0 is the largest. */
export class RungAllocator {
  #rung: number | undefined;
  #raisedAtMs = Number.NEGATIVE_INFINITY;
  #raiseAfterMs = Number.NEGATIVE_INFINITY;
  #waitMs = FIRST_WAIT_MS;

  /**
   * @param ratesBps what each rung takes, bits per second.
   * @returns the rung to send from now on: where none fits, the smallest.
   */
  choose(ratesBps: readonly number[], budgetBps: number, nowMs: number): number {
    const smallest = ratesBps.length - 1;
    const current = this.#rung === undefined ? undefined : Math.min(this.#rung, smallest);
    let rung = 0;
    while (rung < smallest && !fits(ratesBps[rung] ?? 0, budgetBps, current !== undefined && rung < current)) rung++;
    if (current !== undefined && rung < current) {
      // One that is not far enough in the past tells that the path is not what it seems.
      if (nowMs < this.#raiseAfterMs) rung = current;
      else this.#raisedAtMs = nowMs;
    } else if (current !== undefined && rung > current) {
      const held = nowMs - this.#raisedAtMs > HOLDS_MS;
      this.#waitMs = held ? FIRST_WAIT_MS : Math.min(this.#waitMs * 2, LONGEST_WAIT_MS);
      this.#raiseAfterMs = nowMs + this.#waitMs;
    }
    this.#rung = rung;
    return rung;
  }
}

function fits(rateBps: number, budgetBps: number, isAbove: boolean): boolean {
  return rateBps * (isAbove ? RAISE_MARGIN : 1) <= budgetBps;
}
