export type LinkUse = 'normal' | 'overuse' | 'underuse';

/** Number of groups in the regression, and weight of the past in the smoothed delay. */
const WINDOW = 20;
const SMOOTHING = 0.9;
/** Factors on the slope before it is compared: this gain and the number of groups, up to {@link MAX_GROUPS}. */
const GAIN = 4;
const MAX_GROUPS = 60;
/**
 * Adaptive threshold, ms (draft-ietf-rmcat-gcc-02 §5.4): it rises quickly above the variation caused by competing flows, and
 * falls slowly.
 */
const FIRST_THRESHOLD_MS = 12.5;
const THRESHOLD_RANGE_MS = [6, 600] as const;
const K_UP = 0.0087;
const K_DOWN = 0.039;
const MAX_ADAPT_OFFSET_MS = 15;
const MAX_ADAPT_INTERVAL_MS = 100;
/** Minimum duration of overuse before it is reported. */
const OVERUSE_MS = 10;

/**
 * Detects from the trend of the one-way delay whether a queue is building up (draft-ietf-rmcat-gcc-02 §5.3, §5.4), with a
 * least-squares line through the last groups instead of a Kalman filter.
 */
export class OveruseDetector {
  readonly #arrivalMs = new Float64Array(WINDOW);
  readonly #delayMs = new Float64Array(WINDOW);
  #groups = 0;
  #accumulatedMs = 0;
  #smoothedMs = 0;
  #clockMs = 0;
  #previousTrend = 0;
  #thresholdMs = FIRST_THRESHOLD_MS;
  #adaptedAtMs = -1;
  #overusedMs = -1;
  #overuses = 0;
  #use: LinkUse = 'normal';

  get use(): LinkUse {
    return this.#use;
  }

  /** @param sentDeltaMs,arrivalDeltaMs Intervals between two groups. */
  add(sentDeltaMs: number, arrivalDeltaMs: number): void {
    this.#clockMs += arrivalDeltaMs;
    this.#accumulatedMs += arrivalDeltaMs - sentDeltaMs;
    this.#smoothedMs = SMOOTHING * this.#smoothedMs + (1 - SMOOTHING) * this.#accumulatedMs;
    const i = this.#groups++ % WINDOW;
    this.#arrivalMs[i] = this.#clockMs;
    this.#delayMs[i] = this.#smoothedMs;
    const trend = this.#groups >= WINDOW ? this.#slope() : 0;
    this.#detect(trend * Math.min(this.#groups, MAX_GROUPS) * GAIN, sentDeltaMs);
  }

  /** Forgets the trend, because the path may have changed. */
  reset(): void {
    this.#groups = 0;
    this.#accumulatedMs = 0;
    this.#smoothedMs = 0;
    this.#previousTrend = 0;
    this.#overusedMs = -1;
    this.#overuses = 0;
    this.#use = 'normal';
  }

  #slope(): number {
    let meanX = 0;
    let meanY = 0;
    for (let i = 0; i < WINDOW; i++) {
      meanX += this.#arrivalMs[i] ?? 0;
      meanY += this.#delayMs[i] ?? 0;
    }
    meanX /= WINDOW;
    meanY /= WINDOW;
    let numerator = 0;
    let denominator = 0;
    for (let i = 0; i < WINDOW; i++) {
      const x = (this.#arrivalMs[i] ?? 0) - meanX;
      numerator += x * ((this.#delayMs[i] ?? 0) - meanY);
      denominator += x * x;
    }
    return denominator === 0 ? 0 : numerator / denominator;
  }

  #detect(trend: number, sentDeltaMs: number): void {
    if (trend > this.#thresholdMs) {
      this.#overusedMs = this.#overusedMs < 0 ? sentDeltaMs / 2 : this.#overusedMs + sentDeltaMs;
      this.#overuses++;
      if (this.#overusedMs > OVERUSE_MS && this.#overuses > 1 && trend >= this.#previousTrend) {
        this.#overusedMs = 0;
        this.#overuses = 0;
        this.#use = 'overuse';
      }
    } else {
      this.#overusedMs = -1;
      this.#overuses = 0;
      this.#use = trend < -this.#thresholdMs ? 'underuse' : 'normal';
    }
    this.#previousTrend = trend;
    this.#adapt(Math.abs(trend));
  }

  #adapt(trend: number): void {
    const elapsedMs = this.#adaptedAtMs < 0 ? 0 : Math.min(this.#clockMs - this.#adaptedAtMs, MAX_ADAPT_INTERVAL_MS);
    this.#adaptedAtMs = this.#clockMs;
    // A spike, as from a change of route, does not represent the path's usual variation.
    if (trend > this.#thresholdMs + MAX_ADAPT_OFFSET_MS) return;
    const k = trend < this.#thresholdMs ? K_DOWN : K_UP;
    const adapted = this.#thresholdMs + k * (trend - this.#thresholdMs) * elapsedMs;
    this.#thresholdMs = Math.min(Math.max(adapted, THRESHOLD_RANGE_MS[0]), THRESHOLD_RANGE_MS[1]);
  }
}
