import type { Clip } from './clip.js';

/** Measures a barge-in, from its acceptance until nothing of the interrupted clip is sent any more. */
export class Interruption {
  /** The clip that is interrupted. */
  readonly clip: Clip;
  readonly #acceptedMs: number;
  readonly #silentSamples: number;
  readonly #onGone: (track: 'audio' | 'video', afterMs: number) => void;
  #heard = true;
  #seen = true;

  /**
   * @param silentSamples Timeline position from which the clip is silent.
   * @param onGone Called once per track: when the last audio packet of the clip, and the first frame of another clip, has
   * been sent.
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
