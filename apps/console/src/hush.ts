import type { SessionEvent } from '@humancast/client';

/** What was sent before the cut may be in the jitter buffer for so long; after it comes idle, where little can be missed. */
const BUFFERED_MS = 600;
/** If no event says that the speech is over, there was none. */
const GIVE_UP_MS = 1500;

/**
 * Silences the speaker the moment it is interrupted: the cut itself has a way to the server and back before it is heard, and
 * who begins to speak does not want to wait for that.
 */
export class Hush {
  readonly #sound: Pick<HTMLMediaElement, 'volume'>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(sound: Pick<HTMLMediaElement, 'volume'>) {
    this.#sound = sound;
  }

  begin(): void {
    this.#sound.volume = 0;
    this.#endIn(GIVE_UP_MS);
  }

  /** Follows the session's events: with the old speech over, or the new one begun, there is something to be heard again. */
  see({ type }: Pick<SessionEvent, 'type'>): void {
    if (this.#timer === undefined) return;
    if (type === 'speech.started') this.end();
    else if (type === 'speech.finished') this.#endIn(BUFFERED_MS);
  }

  end(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sound.volume = 1;
  }

  #endIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.end(), ms);
  }
}
