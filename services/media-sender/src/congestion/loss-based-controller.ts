/** Packets are judged together when so many, and so much time, are accounted for. */
const OBSERVATION_MS = 250;
const LEAST_PACKETS = 20;
const OBSERVATIONS = 16;
/** Weight of each observation against the one after it. */
const FADING = 0.9;
/** Packets lost without a gap over this long: the path was dead, which says nothing about its width. */
const OUTAGE_MS = 300;
/** With a queue as long as this, losses come from its being full. */
const QUEUE_MS = 30;
/** What a path may lose whatever is sent. More than the last is never taken for granted. */
const INHERENT_LOSSES = [0.001, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2] as const;
const QUEUED_INHERENT_LOSS = 0.02;
/** Log-likelihood by which "there is no limit" is preferred, because most losses are no congestion. */
const PREFERENCE = 2;

/**
 * Finds what the losses say about the width of the path. Loss alone does not: a radio loses a tenth of whatever is sent, and
 * a short queue loses what exceeds its link. So two explanations are fitted to the last seconds by maximum likelihood, a loss
 * that does not depend on the rate and a limit above which everything is lost, as libwebrtc's loss-based estimator v2 does;
 * where packets wait in a queue, the second is presumed.
 */
export class LossBasedController {
  readonly #packets = new Float64Array(OBSERVATIONS);
  readonly #lost = new Float64Array(OBSERVATIONS);
  readonly #bps = new Float64Array(OBSERVATIONS);
  readonly #queueMs = new Float64Array(OBSERVATIONS);
  #count = 0;
  // The observation that is being made.
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

  /** What the path carries, as far as losses tell; infinite while they don't. */
  get limitBps(): number {
    return this.#limitBps;
  }

  /** The loss of the last observation, 0 to 1. */
  get loss(): number {
    return this.#loss;
  }

  /** The loss of all observations that are remembered, 0 to 1. */
  get recentLoss(): number {
    return this.#recentLoss;
  }

  /** In the order in which packets were sent. */
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
    if (elapsedMs >= OBSERVATION_MS && this.#seen >= LEAST_PACKETS) this.#observe(elapsedMs, queueMs);
  }

  #observe(elapsedMs: number, queueMs: number): void {
    const isWhole = !this.#isOutage && this.#lostSinceMs < 0;
    // A run of losses that goes on may turn out to be an outage.
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
    // The observation that lost most says where a limit would be.
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
