import { CLOCK_RATE } from '@humancast/shared';

/** Playback without an underrun after which the reserve is halved. */
const SHRINK_AFTER_SAMPLES = 20 * CLOCK_RATE;
/** Smallest reserve after an underrun, 20 ms. */
const LEAST_SAMPLES = 960;

export interface LiveReserveOptions {
  /** Media-clock samples that must be there before playback starts, or continues after a pause. */
  startSamples: number;
  /** Largest reserve for a producer that is slower than real time, media-clock samples. */
  reserveLimitSamples: number;
  /** Time without media after which the producer pauses, ms. */
  pauseMs: number;
  /** Monotonic clock, ms. */
  nowMs: () => number;
}

/**
 * Decides how much of an open segment must be there before it plays. For a producer that is slower than real time, the reserve
 * doubles with each underrun, so that there are few longer pauses rather than several a second, and is halved while it
 * suffices. A pause is not an underrun: what came before it is played without a reserve, and what comes after it starts as at
 * the beginning.
 */
export class LiveReserve {
  readonly #options: LiveReserveOptions;
  #samples: number;
  #arrivedAtMs: number;
  /** When playback ran out of media, until more arrives. */
  #ranOutAtMs: number | undefined;
  /** Playback position from which the reserve has sufficed. */
  #sufficesFrom = 0;

  constructor(options: LiveReserveOptions) {
    this.#options = options;
    this.#samples = options.startSamples;
    this.#arrivedAtMs = options.nowMs();
  }

  /** @returns Media-clock samples that must be there now; 0 while nothing arrives, because waiting would be in vain. */
  get requiredSamples(): number {
    return this.#options.nowMs() - this.#arrivedAtMs > this.#options.pauseMs ? 0 : this.#samples;
  }

  /** Called when media of both tracks has arrived. */
  arrived(): void {
    const { nowMs, pauseMs, startSamples, reserveLimitSamples } = this.#options;
    this.#arrivedAtMs = nowMs();
    if (this.#ranOutAtMs === undefined) return;
    const isPause = this.#arrivedAtMs - this.#ranOutAtMs > pauseMs;
    const grown = Math.min(Math.max(2 * this.#samples, LEAST_SAMPLES), reserveLimitSamples);
    this.#samples = isPause ? startSamples : Math.max(startSamples, grown);
    this.#ranOutAtMs = undefined;
  }

  /** Called when playback reaches the end of what has arrived. */
  ranOut(positionSamples: number): void {
    this.#ranOutAtMs ??= this.#options.nowMs();
    this.#sufficesFrom = positionSamples;
  }

  played(positionSamples: number): void {
    if (positionSamples - this.#sufficesFrom < SHRINK_AFTER_SAMPLES) return;
    this.#sufficesFrom = positionSamples;
    this.#samples = Math.max(this.#options.startSamples, this.#samples / 2);
  }
}
