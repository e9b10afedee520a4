/** Bytes are counted in bins of this length, by arrival time. */
const BIN_MS = 25;
const BINS = 40;

/** Measures the recent rate of arrival on the receiver's clock. */
export class ReceivedRate {
  readonly #bytes = new Float64Array(BINS);
  #bin = Number.NEGATIVE_INFINITY;
  #firstBin = 0;

  add(arrivalMs: number, bytes: number): void {
    const bin = Math.floor(arrivalMs / BIN_MS);
    if (Math.abs(bin - this.#bin) >= BINS) {
      this.#bytes.fill(0);
      this.#firstBin = bin;
      this.#bin = bin;
    }
    for (; this.#bin < bin; this.#bin++) this.#bytes[slot(this.#bin + 1)] = 0;
    this.#bytes[slot(bin)] = (this.#bytes[slot(bin)] ?? 0) + bytes;
  }

  /** @returns Bits per second over the last `windowMs` (at most 900); `undefined` before that much time has passed. */
  bps(windowMs: number): number | undefined {
    const bins = Math.min(Math.ceil(windowMs / BIN_MS), BINS - 1);
    if (this.#bin - this.#firstBin < bins) return undefined;
    let bytes = 0;
    // The newest bin is incomplete.
    for (let i = 1; i <= bins; i++) bytes += this.#bytes[slot(this.#bin - i)] ?? 0;
    return (bytes * 8000) / (bins * BIN_MS);
  }
}

function slot(bin: number): number {
  return ((bin % BINS) + BINS) % BINS;
}
