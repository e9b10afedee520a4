/** How much may be sent again, of what the media takes: beyond that, repeating makes a congested path worse. */
export const REPAIR_SHARE = 0.25;
/** Saved up at most, and there from the start: enough for the first GOP of a viewer that asks, or one large keyframe's packets. */
export const REPAIR_LIMIT_BYTES = 131_072;

/** The same for audio, which takes little and is repaired first. */
export const AUDIO_REPAIR_SHARE = 0.5;
export const AUDIO_REPAIR_LIMIT_BYTES = 8192;

/**
 * What one viewer may be sent besides its media because it asked: of video, lost packets and keyframes together. Whatever it
 * asks for, and however often, it gets at most 1 + `share` times the media, and `limitBytes` once.
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

  /** Media was sent. */
  earn(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes * this.#share, this.#limitBytes);
  }

  /** @returns whether there was credit for so much; then it is spent. */
  spend(bytes: number): boolean {
    if (bytes > this.#creditBytes) return false;
    this.#creditBytes -= bytes;
    return true;
  }
}
