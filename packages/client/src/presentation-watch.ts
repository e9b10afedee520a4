/** Time without a new frame after which video counts as frozen, ms; longer than the interval of a slide show at 1 fps. */
const STILL_MS = 2500;
/** Time, ms, after which decoded frames that are not presented show that the element has lost its track. */
const UNPRESENTED_MS = 1000;
/** Interval between attempts to make the element render again, ms. */
const RENEW_INTERVAL_MS = 3000;

export interface PresentationLook {
  nowMs: number;
  framesDecoded: number;
  /** `undefined` if the browser does not report it. */
  framesPresented: number | undefined;
  /** Whether the browser presents frames now: the page is visible and the element is not paused. */
  presenting: boolean;
}

/**
 * Determines from the frames that the video element presents whether a viewer sees moving video. Decoded frames prove
 * nothing: an element can lose its track, and then shows the last frame forever.
 */
export class PresentationWatch {
  readonly #renew: () => void;
  #decoded = 0;
  #presented = 0;
  #changedAtMs: number;
  /** Time since which decoded frames have not been presented, ms. */
  #unpresentedSinceMs: number | undefined;
  #renewedAtMs = Number.NEGATIVE_INFINITY;

  /** @param renew Makes the element render its tracks again. */
  constructor(nowMs: number, renew: () => void) {
    this.#changedAtMs = nowMs;
    this.#renew = renew;
  }

  /** @returns Whether video is frozen although it should move. */
  look({ nowMs, framesDecoded, framesPresented = framesDecoded, presenting }: PresentationLook): boolean {
    const decodes = framesDecoded !== this.#decoded;
    const presents = framesPresented !== this.#presented;
    this.#decoded = framesDecoded;
    this.#presented = framesPresented;
    if (presents || !presenting) {
      this.#changedAtMs = nowMs;
      this.#unpresentedSinceMs = undefined;
      return false;
    }
    if (decodes) this.#unpresentedSinceMs ??= nowMs;
    if (this.#unpresentedSinceMs !== undefined && nowMs - this.#unpresentedSinceMs >= UNPRESENTED_MS) {
      this.#renewIfDue(nowMs);
    }
    return nowMs - this.#changedAtMs >= STILL_MS;
  }

  #renewIfDue(nowMs: number): void {
    if (nowMs - this.#renewedAtMs < RENEW_INTERVAL_MS) return;
    this.#renewedAtMs = nowMs;
    this.#renew();
  }
}
