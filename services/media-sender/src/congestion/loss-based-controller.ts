/** Minimum duration and number of packets of an observation. */
const OBSERVATION_MS = 250;
const MIN_PACKETS = 20;
const OBSERVATIONS = 16;
/** Weight of each observation relative to the next newer one. */
const FADING = 0.9;
/** Longer runs of lost packets are an outage, which says nothing about the path's capacity. */
const OUTAGE_MS = 300;
/** With a longer queue, losses are attributed to its overflow. */
const QUEUE_MS = 30;
/** Candidates for the path's inherent loss, which does not depend on the rate. */
const INHERENT_LOSSES = [0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2] as const;
const QUEUED_INHERENT_LOSS = 0.02;
/** Advantage in log-likelihood of "no limit", because most losses are not caused by congestion. */
const PREFERENCE = 2;

/**
 * Estimates the path's capacity from losses. A loss rate alone does not tell: a radio link loses a tenth of whatever is
 * sent, and a short queue loses what exceeds its link. So two explanations are fitted to the last seconds by maximum
 * likelihood, as in libwebrtc's loss-based estimator v2: an inherent loss that does not depend on the rate, and a limit
 * above which everything is lost. While packets wait in a queue, the second is presumed.
 */
export class LossBasedController {
  readonly #packets = new Float64Array(OBSERVATIONS);
  readonly #lost = new Float64Array(OBSERVATIONS);
  readonly #bps = new Float64Array(OBSERVATIONS);
  readonly #queueMs = new Float64Array(OBSERVATIONS);
  #count = 0;
  // The current observation.
  #firstSentMs = -1;
  #lastSentMs = 0;
  #seen = 0;
  #missing = 0;
  #bytes = 0;
  #lostSinceMs = -1;
  #isOutage = false;
  #limitBps = Number.POSITIVE_INFINITY;
  #loss = 0;
  #recentLoss = 0;

  /** The path's capacity according to losses; infinite if they show no limit. */
  get limitBps(): number {
    return this.#limitBps;
  }

  /** Loss in the last observation, 0 to 1. */
  get loss(): number {
    return this.#loss;
  }

  /** Loss in all remembered observations, 0 to 1. */
  get recentLoss(): number {
    return this.#recentLoss;
  }

  /** Adds a packet, in the order of sending. */
  add(sentMs: number, bytes: number, received: boolean, queueMs: number): void {
    if (this.#firstSentMs < 0) this.#firstSentMs = sentMs;
    this.#lastSentMs = Math.max(this.#lastSentMs, sentMs);
    this.#seen++;
    this.#bytes += bytes;
    if (received) {
      this.#lostSinceMs = -1;
    } else {
      this.#missing++;
      if (this.#lostSinceMs < 0) this.#lostSinceMs = sentMs;
      if (sentMs - this.#lostSinceMs > OUTAGE_MS) this.#isOutage = true;
    }
    const elapsedMs = this.#lastSentMs - this.#firstSentMs;
    if (elapsedMs >= OBSERVATION_MS && this.#seen >= MIN_PACKETS) this.#observe(elapsedMs, queueMs);
  }

  #observe(elapsedMs: number, queueMs: number): void {
    const isWhole = !this.#isOutage && this.#lostSinceMs < 0;
    // A run of losses at the end may turn out to be an outage.
    if (!isWhole && !this.#isOutage && elapsedMs < 2 * OUTAGE_MS) return;
    if (!this.#isOutage) {
      const i = this.#count++ % OBSERVATIONS;
      this.#packets[i] = this.#seen;
      this.#lost[i] = this.#missing;
      this.#bps[i] = (this.#bytes * 8000) / elapsedMs;
      this.#queueMs[i] = queueMs;
      this.#loss = this.#missing / this.#seen;
      this.#recentLoss = totalOf(this.#lost) / totalOf(this.#packets);
      this.#limitBps = this.#fit();
    }
    this.#firstSentMs = -1;
    this.#seen = 0;
    this.#missing = 0;
    this.#bytes = 0;
    this.#isOutage = false;
  }

  #fit(): number {
    const count = Math.min(this.#count, OBSERVATIONS);
    // The observation with the highest loss suggests the limit.
    let worst = -1;
    for (let i = 0; i < count; i++) {
      if (this.#lossOf(i) > (worst < 0 ? 0.02 : this.#lossOf(worst))) worst = i;
    }
    if (worst < 0) return Number.POSITIVE_INFINITY;
    let best = Number.POSITIVE_INFINITY;
    let likelihood = this.#bestLikelihood(best) + PREFERENCE;
    const arrivedBps = (this.#bps[worst] ?? 0) * (1 - this.#lossOf(worst));
    for (let share = 1.2; share > 0.75; share -= 0.1) {
      const limitBps = arrivedBps * share;
      const candidate = this.#bestLikelihood(limitBps);
      if (candidate > likelihood) {
        likelihood = candidate;
        best = limitBps;
      }
    }
    return best;
  }

  #lossOf(i: number): number {
    return (this.#lost[i] ?? 0) / (this.#packets[i] ?? 1);
  }

  #bestLikelihood(limitBps: number): number {
    let best = Number.NEGATIVE_INFINITY;
    for (const inherent of INHERENT_LOSSES) best = Math.max(best, this.#likelihood(limitBps, inherent));
    return best;
  }

  #likelihood(limitBps: number, inherent: number): number {
    const count = Math.min(this.#count, OBSERVATIONS);
    let sum = 0;
    let weight = 1;
    for (let age = 0; age < count; age++, weight *= FADING) {
      const i = (this.#count - 1 - age) % OBSERVATIONS;
      const presumed = (this.#queueMs[i] ?? 0) > QUEUE_MS ? Math.min(inherent, QUEUED_INHERENT_LOSS) : inherent;
      const excess = Math.max(0, 1 - limitBps / Math.max(this.#bps[i] ?? 1, 1));
      const loss = presumed + (1 - presumed) * excess;
      const lost = this.#lost[i] ?? 0;
      sum += weight * (lost * Math.log(loss) + ((this.#packets[i] ?? 0) - lost) * Math.log(1 - loss));
    }
    return sum;
  }
}

function totalOf(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
