import type { Clip } from './clip.js';

/** A barge-in on its way: from when it was accepted until nothing of the old clip leaves any more. */
export class Interruption {
  /** What is interrupted. */
  readonly clip: Clip;
  readonly #acceptedMs: number;
  readonly #silentSamples: number;
  readonly #onGone: (track: 'audio' | 'video', afterMs: number) => void;
  #heard = true;
  #seen = true;

  /**
   * @param silentSamples timeline position at which its voice has faded.
   * @param onGone told once for each track, when the last packet of the old voice, and the first of another picture, has left.
   */
  constructor(
    clip: Clip,
    acceptedMs: number,
    silentSamples: number,
    onGone: (track: 'audio' | 'video', afterMs: number) => void,
  ) {
    this.clip = clip;
    this.#acceptedMs = acceptedMs;
    this.#silentSamples = silentSamples;
    this.#onGone = onGone;
  }

  get over(): boolean {
    return !this.#heard && !this.#seen;
  }

  audioSent(toSamples: number, nowMs: number): void {
    if (!this.#heard || toSamples < this.#silentSamples) return;
    this.#heard = false;
    this.#onGone('audio', nowMs - this.#acceptedMs);
  }

  frameSent(clip: Clip, nowMs: number): void {
    if (!this.#seen || clip === this.clip) return;
    this.#seen = false;
    this.#onGone('video', nowMs - this.#acceptedMs);
  }
}
