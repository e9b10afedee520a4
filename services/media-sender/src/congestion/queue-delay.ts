/** Window of the minimum delay, in parts that expire one by one. */
const PART_MS = 10_000;
const PARTS = 3;
const JITTER_GAIN = 0.05;

/**
 * Measures the queueing delay on the path: the one-way delay minus its minimum of the last 30 s. This cancels the offset
 * between the clocks, and their drift stays below 3 ms.
 */
export class QueueDelay {
  readonly #least = new Float64Array(PARTS).fill(Number.POSITIVE_INFINITY);
  #part = 0;
  #partEndsMs = Number.NEGATIVE_INFINITY;

  #previousMs = 0;
  #previousChangeMs = 0;

  /**
   * Smoothed amplitude of changes in {@link ms} that reverse at once, as jitter does and a filling or draining queue does
   * not.
   */
  jitterMs = 0;

  /** Queueing delay in the last feedback, by its fastest packet, which excludes jitter. */
  ms = 0;

  /** @param delayMs Minimum one-way delay in a feedback message, with any constant offset. */
  add(delayMs: number, nowMs: number): void {
    if (nowMs >= this.#partEndsMs) {
      this.#part = (this.#part + 1) % PARTS;
      this.#least[this.#part] = Number.POSITIVE_INFINITY;
      this.#partEndsMs = nowMs + PART_MS;
    }
    this.#least[this.#part] = Math.min(this.#least[this.#part] ?? delayMs, delayMs);
    let least = delayMs;
    for (let i = 0; i < PARTS; i++) least = Math.min(least, this.#least[i] ?? least);
    this.ms = delayMs - least;
    const changeMs = delayMs - this.#previousMs;
    const turns = changeMs * this.#previousChangeMs < 0;
    const swingMs = turns ? Math.min(Math.abs(changeMs), Math.abs(this.#previousChangeMs)) : 0;
    this.jitterMs += JITTER_GAIN * (swingMs - this.jitterMs);
    this.#previousMs = delayMs;
    this.#previousChangeMs = changeMs;
  }
}
