import type { SessionEvent } from '@humancast/client';

/** What was sent before the cut may be in the jitter buffer for so long; after it comes idle, where little can be missed. */
const BUFFERED_MS = 600;
/** If no event says that the speech is over, there was none. */
const GIVE_UP_MS = 1500;

type MutableElement = Pick<HTMLMediaElement, 'muted' | 'volume'>;

/**
 * Silences the speaker the moment it is interrupted: the cut itself has a way to the server and back before it is heard, and
 * who begins to speak does not want to wait for that.
 */
export class InterruptMute {
  readonly #element: MutableElement;
  /** Whether it was this that muted the element, because its volume can't be set. */
  #muted = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(element: MutableElement) {
    this.#element = element;
  }

  begin(): void {
    this.#silence();
    this.#endIn(GIVE_UP_MS);
  }

  /** Follows the session's events: with the old speech over, or the new one begun, there is something to be heard again. */
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

  /** iOS leaves the volume to its buttons: setting it has no effect there, and reading it gives 1. */
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
