/** Duration of the burst that may be sent at once, which is a timer's resolution. */
const BURST_MS = 5;
/** Minimum burst: one packet, however slow the path. */
const MIN_BURST_BYTES = 1200;

/** A leaky bucket whose rate may change at any time: a packet may be sent while less than a burst is outstanding. */
export class LeakyBucket {
  #owedBytes = 0;
  #atMs = Number.NEGATIVE_INFINITY;

  /** @returns The number of bytes that may be sent now; none if it is 0 or below. The last packet may overdraw it. */
  room(rateBps: number, nowMs: number): number {
    this.#leak(rateBps, nowMs);
    return Math.max((rateBps * BURST_MS) / 8000, MIN_BURST_BYTES) - this.#owedBytes;
  }

  spend(bytes: number): void {
    this.#owedBytes += bytes;
  }

  /** @returns The time at which {@link room} becomes positive. */
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
