import type { SessionEvent } from '@humancast/client';

/** Time after `speech.finished` for which earlier media may still be in the jitter buffer. */
const BUFFERED_MS = 600;
/** Time after which the element is unmuted if no event reports the end of speech. */
const GIVE_UP_MS = 1500;

type MutableElement = Pick<HTMLMediaElement, 'muted' | 'volume'>;

/**
 * Mutes the element as soon as the viewer interrupts, because the interruption needs a round trip to the server to take
 * effect.
 */
export class InterruptMute {
  readonly #element: MutableElement;
  /** Whether the element was muted here, because its volume is read-only. */
  #muted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(element: MutableElement) {
    this.#element = element;
  }

  begin(): void {
    this.#silence();
    this.#endIn(GIVE_UP_MS);
  }

  /** Unmutes when new speech starts, or shortly after the old speech has finished. */
  onEvent({ type }: Pick<SessionEvent, 'type'>): void {
    if (this.#timer === undefined) return;
    if (type === 'speech.started') this.end();
    else if (type === 'speech.finished') this.#endIn(BUFFERED_MS);
  }

  end(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#element.volume = 1;
    if (this.#muted) this.#element.muted = false;
    this.#muted = false;
  }

  /** On iOS the volume is read-only: setting it has no effect, and it reads as 1. */
  #silence(): void {
    this.#element.volume = 0;
    if (this.#element.volume === 0 || this.#element.muted) return;
    this.#element.muted = true;
    this.#muted = true;
  }

  #endIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), ms);
  }
}
