/** The least delay is looked for over this, in so many parts. */
const PART_MS = 10_000;
const PARTS = 3;
const JITTER_GAIN = 0.05;

/**
 * How long packets wait in queues on the way: the one-way delay against the least of the last 30 s. Both clocks' offset
 * cancels out, and their drift stays below 3 ms.
 */
export class QueueDelay {
  readonly #least = new Float64Array(PARTS).fill(Number.POSITIVE_INFINITY);
  #part = 0;
  #partEndsMs = Number.NEGATIVE_INFINITY;

  #previousMs = 0;
  #previousChangeMs = 0;

  /** How far {@link ms} goes up and down again, smoothed: a queue that fills or drains does not, jitter does. */
  jitterMs = 0;

  /** Of the last feedback: the least of its packets, which leaves jitter out. */
  ms = 0;

  /** @param delayMs the least one-way delay in one feedback message, with any constant offset. */
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
