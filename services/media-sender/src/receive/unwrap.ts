/** Extends numbers that wrap around at a power of two. */
export class Unwrap {
  readonly #modulus: number;
  #last: number | undefined;

  /** @param bits 16 for sequence numbers, 32 for timestamps. */
  constructor(bits: 16 | 32) {
    this.#modulus = 2 ** bits;
  }

  /** @returns The extended number that is closest to the previous one; the first one is between 1 and 2 times the modulus. */
  next(value: number): number {
    const last = (this.#last ?? this.#modulus + value) as number;
    const step = (value - (last % this.#modulus) + this.#modulus) % this.#modulus;
    const extended = last + (step > this.#modulus / 2 ? step - this.#modulus : step);
    // So that it never becomes negative, whatever is sent.
    this.#last = Math.max(extended, this.#modulus);
    return extended;
  }
}
