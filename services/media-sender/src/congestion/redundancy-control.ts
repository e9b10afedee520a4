/** Loss from which each depth is used, 0 to 1. */
const RAISE_AT = [0.005, 0.06] as const;
/** A depth is lowered if the loss stays below this share of its threshold */
const LOWER_SHARE = 0.4;
/** for this long, because losses come in bursts. */
const LOWER_AFTER_MS = 5000;
/** Maximum share of the estimate for audio with its redundancy. */
const AUDIO_SHARE = 0.5;

/** Bitrate of audio on the network: Opus, RTP, SRTP, UDP and IP, 50 packets per second. */
export const AUDIO_BPS = 70_000;
/** Additional bitrate per repeated packet. */
export const REDUNDANCY_BPS = 40_000;

/** Chooses how many earlier packets each audio packet to a viewer repeats, by the path's loss. */
export class RedundancyControl {
  #depth = 0;
  /** Last time at which the loss was too high for a lower depth. */
  #neededAtMs = Number.NEGATIVE_INFINITY;

  get depth(): number {
    return this.#depth;
  }

  /**
   * @param loss Loss of the last seconds, 0 to 1.
   * @param estimateBps Estimated capacity of the path.
   * @returns The new depth, 0 to 2.
   */
  update(loss: number, estimateBps: number, nowMs: number): number {
    const required = depthFor(loss, 1);
    if (required > this.#depth) this.#depth = required;
    if (depthFor(loss, LOWER_SHARE) >= this.#depth) this.#neededAtMs = nowMs;
    if (nowMs - this.#neededAtMs > LOWER_AFTER_MS && this.#depth > 0) {
      this.#depth--;
      this.#neededAtMs = nowMs;
    }
    this.#depth = Math.min(this.#depth, affordable(estimateBps));
    return this.#depth;
  }
}

/** Called for each audio packet of each viewer, so it allocates nothing. */
function depthFor(loss: number, share: number): number {
  let depth = 0;
  while (loss >= (RAISE_AT[depth] ?? Number.POSITIVE_INFINITY) * share) depth++;
  return depth;
}

function affordable(estimateBps: number): number {
  return Math.max(0, Math.floor((estimateBps * AUDIO_SHARE - AUDIO_BPS) / REDUNDANCY_BPS));
}
