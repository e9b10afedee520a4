/**
 * Measures for how long a producer has been held back: the time grows while it is, and shrinks as fast while it is not. A
 * producer that pauses or is slow is not held back, however far its push is behind real time.
 */
export class HeldTime {
  #ms = 0;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /**
   * @param held Whether the producer has been held back since the last call.
   * @returns The time, ms.
   */
  advance(nowMs: number, held: boolean): number {
    const elapsedMs = nowMs - this.#atMs;
    this.#atMs = nowMs;
    this.#ms = Math.max(0, this.#ms + (held ? elapsedMs : -elapsedMs));
    return this.#ms;
  }
}
