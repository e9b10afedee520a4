/** How much may be sent again, of what the media takes: beyond that, repeating makes a congested path worse. */
export const REPAIR_SHARE = 0.25;
/** Saved up at most, and there from the start: enough for the first GOP of a viewer that asks, or one large keyframe's packets. */
export const REPAIR_LIMIT_BYTES = 131_072;

/**
 * What one viewer may be sent besides its media, because it asked: lost packets and keyframes together. So whatever it asks
 * for, and however often, it gets at most 1 + {@link REPAIR_SHARE} times the media, and {@link REPAIR_LIMIT_BYTES} once.
 */
export class RepairBudget {
  #creditBytes = REPAIR_LIMIT_BYTES;

  /** Media was sent. */
  earn(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes * REPAIR_SHARE, REPAIR_LIMIT_BYTES);
  }

  /** @returns whether there was credit for so much; then it is spent. */
  spend(bytes: number): boolean {
    if (bytes > this.#creditBytes) return false;
    this.#creditBytes -= bytes;
    return true;
  }
}
