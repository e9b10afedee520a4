/** Loss per report above which the rate is lowered, and below which it is raised (draft-ietf-rmcat-gcc-02 §6). */
const HIGH_LOSS = 0.1;
const LOW_LOSS = 0.02;
const INCREASE = 1.08;
/** Increase until the first loss or queueing. */
const FIRST_INCREASE = 1.2;
/**
 * Maximum rate relative to the sent rate, because reports cover only what is sent; a larger rendition takes three times as
 * much.
 */
const UNPROVEN_FACTOR = 4;
/** A round trip longer than the shortest by this much indicates a queue. */
const QUEUE_MS = 150;
const QUEUED_DECREASE = 0.85;
/**
 * Minimum interval between evaluated reports: those of both tracks come together, and a hostile viewer may send any number.
 */
const INTERVAL_MS = 400;

/** Controls the rate by loss and round-trip time from receiver reports, for viewers that send nothing better. */
export class ReportControl {
  #targetBps: number;
  #leastRoundTripMs = Number.POSITIVE_INFINITY;
  #changedAtMs = Number.NEGATIVE_INFINITY;
  #lowered = false;

  constructor(startBps: number) {
    this.#targetBps = startBps;
  }

  /** Whether the rate has ever been lowered. */
  get isLowered(): boolean {
    return this.#lowered;
  }

  get targetBps(): number {
    return this.#targetBps;
  }

  /** @param sentBps Rate sent recently, far beyond which the rate is not raised. */
  report(fractionLost: number, roundTripMs: number | undefined, sentBps: number, nowMs: number): void {
    if (roundTripMs !== undefined) this.#leastRoundTripMs = Math.min(this.#leastRoundTripMs, roundTripMs);
    if (nowMs - this.#changedAtMs < INTERVAL_MS) return;
    this.#changedAtMs = nowMs;
    const isQueued = roundTripMs !== undefined && roundTripMs > this.#leastRoundTripMs + QUEUE_MS;
    if (fractionLost > HIGH_LOSS || isQueued) this.#lowered = true;
    if (fractionLost > HIGH_LOSS) {
      this.#targetBps = Math.min(this.#targetBps, sentBps) * (1 - fractionLost / 2);
    } else if (isQueued) {
      this.#targetBps = Math.min(this.#targetBps, sentBps) * QUEUED_DECREASE;
    } else if (fractionLost < LOW_LOSS && this.#targetBps < sentBps * UNPROVEN_FACTOR) {
      this.#targetBps *= this.#lowered ? INCREASE : FIRST_INCREASE;
    }
  }

  limit(minBps: number, maxBps: number): void {
    this.#targetBps = Math.min(Math.max(this.#targetBps, minBps), maxBps);
  }
}
