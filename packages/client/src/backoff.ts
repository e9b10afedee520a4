/** Exponential backoff with jitter in its upper half, so that the viewers of a lost server do not return all at once. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  constructor(options: { firstMs: number; maxMs: number; random: () => number }) {
    this.#firstMs = options.firstMs;
    this.#maxMs = options.maxMs;
    this.#random = options.random;
  }

  /** @returns The delay before the next attempt, ms; it doubles with each call, up to the maximum. */
  next(): number {
    const ceiling = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#attempt++, 20));
    return ceiling * (0.5 + 0.5 * this.#random());
  }

  reset(): void {
    this.#attempt = 0;
  }
}
