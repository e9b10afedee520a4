/** Losses from which on each depth is used, 0 to 1. */
const RAISE_AT = [0.005, 0.06] as const;
/** Below this share of the loss that led to a depth, it is no longer needed; */
const LOWER_SHARE = 0.4;
/** if so for this long: losses come in bursts. */
const LOWER_AFTER_MS = 5000;
/** Audio with all that it repeats takes at most this share of the estimate. */
const AUDIO_SHARE = 0.5;

/** What audio takes on the network: Opus, RTP, SRTP, UDP and IP, 50 times a second. */
export const AUDIO_BPS = 70_000;
/** What each repeated packet adds to that. */
export const REDUNDANCY_BPS = 40_000;

/** Chooses how many earlier packets each audio packet to a viewer repeats, by what the path loses. */
export class RedundancyControl {
  #depth = 0;
  /** When the loss was last too high for a lower depth. */
  #neededAtMs = Number.NEGATIVE_INFINITY;

  get depth(): number {
    return this.#depth;
  }

  /**
   * @param loss of the last seconds, 0 to 1.
   * @param estimateBps what the path carries.
   * @returns the depth from now on, 0 to 2.
   */
  update(loss: number, estimateBps: number, nowMs: number): number {
    const wanted = depthFor(loss, 1);
    if (wanted > this.#depth) this.#depth = wanted;
    if (depthFor(loss, LOWER_SHARE) >= this.#depth) this.#neededAtMs = nowMs;
    if (nowMs - this.#neededAtMs > LOWER_AFTER_MS && this.#depth > 0) {
      this.#depth--;
      this.#neededAtMs = nowMs;
    }
    this.#depth = Math.min(this.#depth, affordable(estimateBps));
    return this.#depth;
  }
}

/** It is asked for each audio packet of each viewer, so it allocates nothing. */
function depthFor(loss: number, share: number): number {
  let depth = 0;
  while (loss >= (RAISE_AT[depth] ?? Number.POSITIVE_INFINITY) * share) depth++;
  return depth;
}

function affordable(estimateBps: number): number {
  return Math.max(0, Math.floor((estimateBps * AUDIO_SHARE - AUDIO_BPS) / REDUNDANCY_BPS));
}
