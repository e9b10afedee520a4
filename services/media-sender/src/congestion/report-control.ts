/** Losses in a report beyond and below which the rate goes down and up (draft-ietf-rmcat-gcc-02 §6). */
const HIGH_LOSS = 0.1;
const LOW_LOSS = 0.02;
const INCREASE = 1.08;
/** The same until something has been lost or queued for the first time. */
const FIRST_INCREASE = 1.2;
/** Reports show only that what is sent arrives; a larger rendition takes three times as much. */
const UNPROVEN_FACTOR = 4;
/** A round trip so much longer than the shortest means a queue. */
const QUEUE_MS = 150;
const QUEUED_DECREASE = 0.85;
/** Reports of both tracks come together, and a hostile viewer's as often as it likes: they count this far apart. */
const INTERVAL_MS = 400;

/** The rate by receiver reports alone, for viewers that tell nothing better: loss, and how the round trip grows. */
export class ReportControl {
  #targetBps: number;
  #leastRoundTripMs = Number.POSITIVE_INFINITY;
  #changedAtMs = Number.NEGATIVE_INFINITY;
  #lowered = false;

  constructor(startBps: number) {
    this.#targetBps = startBps;
  }

  /** Whether the path has shown its limit. */
  get isLowered(): boolean {
    return this.#lowered;
  }

  get targetBps(): number {
    return this.#targetBps;
  }

  /** @param sentBps what was sent lately: the rate is not raised far beyond it. */
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

  limit(leastBps: number, mostBps: number): void {
    this.#targetBps = Math.min(Math.max(this.#targetBps, leastBps), mostBps);
  }
}
