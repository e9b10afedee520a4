import type { SessionEvent } from '@humancast/protocol';
import type { Environment } from './environment.js';

/** Time after `speech.finished` for which earlier media may still be in the jitter buffer, ms. */
const BUFFERED_MS = 600;
/** Time after which audio returns if no event reports the end of speech, ms. */
const GIVE_UP_MS = 1500;

/**
 * Silences audio as soon as the viewer interrupts, because the interruption needs a round trip to the server, and what is in
 * the jitter buffer would play out.
 */
export class Hush {
  readonly #clock: Environment['clock'];
  readonly #changed: () => void;
  #cancel: (() => void) | undefined;

  /** @param changed Called when {@link active} has changed. */
  constructor(clock: Environment['clock'], changed: () => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  get active(): boolean {
    return this.#cancel !== undefined;
  }

  begin(): void {
    this.#endIn(GIVE_UP_MS);
    this.#changed();
  }

  /** Ends when new speech starts, or shortly after the old speech has finished. */
  onEvent({ type }: Pick<SessionEvent, 'type'>): void {
    if (!this.active) return;
    if (type === 'speech.started') this.end();
    else if (type === 'speech.finished') this.#endIn(BUFFERED_MS);
  }

  end(): void {
    if (!this.active) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#changed();
  }

  #endIn(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(ms, () => this.end());
  }
}
