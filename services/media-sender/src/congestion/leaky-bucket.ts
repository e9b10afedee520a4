/** What may leave in one go: a timer's grain. */
const BURST_MS = 5;
/** However slow the path, one packet may leave at once. */
const LEAST_BURST_BYTES = 1200;

/** Lets bytes out at a rate that may change at any time: a packet may leave while less than a burst is owed. */
export class LeakyBucket {
  #owedBytes = 0;
  #atMs = Number.NEGATIVE_INFINITY;

  /** @returns how many bytes may leave now; at 0 or below, none. The last packet may overdraw it. */
  room(rateBps: number, nowMs: number): number {
    this.#leak(rateBps, nowMs);
    return Math.max((rateBps * BURST_MS) / 8000, LEAST_BURST_BYTES) - this.#owedBytes;
  }

  spend(bytes: number): void {
    this.#owedBytes += bytes;
  }

  /** @returns when {@link room} will be above 0, given that it isn't. */
  readyAtMs(rateBps: number, nowMs: number): number {
    const roomBytes = this.room(rateBps, nowMs);
    return roomBytes > 0 ? nowMs : nowMs + ((1 - roomBytes) * 8000) / rateBps;
  }

  #leak(rateBps: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#atMs;
    this.#owedBytes =
      elapsedMs === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#owedBytes - (rateBps * elapsedMs) / 8000);
    this.#atMs = nowMs;
  }
}
