/** Retransmissions as a share of the media; beyond it, repeating makes a congested path worse. */
export const REPAIR_SHARE = 0.25;
/**
 * Maximum and initial credit, bytes: enough for the first GOP of a viewer that requests it, or one large keyframe's packets.
 */
export const REPAIR_LIMIT_BYTES = 131_072;

/** Share and credit for audio, which has a low bitrate and is repaired first. */
export const AUDIO_REPAIR_SHARE = 0.5;
export const AUDIO_REPAIR_LIMIT_BYTES = 8192;

/**
 * Limits retransmissions to one viewer; for video, of lost packets and keyframes together. Whatever it requests, it gets
 * at most 1 + `share` times the media, plus `limitBytes` once.
 */
export class RepairBudget {
  readonly #share: number;
  readonly #limitBytes: number;
  #creditBytes: number;

  constructor(share = REPAIR_SHARE, limitBytes = REPAIR_LIMIT_BYTES) {
    this.#share = share;
    this.#limitBytes = limitBytes;
    this.#creditBytes = limitBytes;
  }

  /** Adds credit for media that was sent. */
  earn(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes * this.#share, this.#limitBytes);
  }

  /** Spends credit. @returns Whether there was enough. */
  spend(bytes: number): boolean {
    if (bytes > this.#creditBytes) return false;
    this.#creditBytes -= bytes;
    return true;
  }
}
