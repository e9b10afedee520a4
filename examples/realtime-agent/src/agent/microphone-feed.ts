/** Pause of a voice after which it is filled with silence, ms: more than a frame, and its jitter. */
const PAUSE_MS = 100;
/** Silence after the last frame of a voice, ms: the model finds the end of the speech in it. */
const SILENCE_MS = 5000;
/** Time after which another viewer may speak, ms. */
const FLOOR_MS = 1000;

/**
 * Turns the voices of a session into the one continuous stream that a model hears: one viewer at a time, the first one that
 * speaks, and silence while a microphone sends nothing, because the model measures pauses in the stream's own time.
 */
export class MicrophoneFeed {
  readonly #rate: number;
  readonly #append: (pcm: Int16Array) => void;
  readonly #nowMs: () => number;
  #viewer: string | undefined;
  /** When the viewer's last frame arrived, and up to when the stream is filled. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #filledToMs = 0;

  constructor(rate: number, append: (pcm: Int16Array) => void, nowMs: () => number) {
    this.#rate = rate;
    this.#append = append;
    this.#nowMs = nowMs;
  }

  hear(viewer: string, pcm: Int16Array): void {
    const nowMs = this.#nowMs();
    if (viewer !== this.#viewer && nowMs - this.#heardAtMs < FLOOR_MS) return;
    this.#viewer = viewer;
    this.#heardAtMs = nowMs;
    this.#filledToMs = nowMs;
    this.#append(pcm);
  }

  /** To be called now and then. */
  poll(): void {
    const nowMs = this.#nowMs();
    const pauseMs = nowMs - this.#filledToMs;
    if (pauseMs < PAUSE_MS || nowMs - this.#heardAtMs > SILENCE_MS) return;
    this.#filledToMs = nowMs;
    this.#append(new Int16Array(Math.round((pauseMs * this.#rate) / 1000)));
  }
}
