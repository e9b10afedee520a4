/** Number of sessions by which a phase must be less used to be worth a longer wait. */
const CLEARLY = 1;

/**
 * Assigns sessions a phase within the 20 ms of an audio packet, so that their packets spread over it. A new session gets the
 * least used phase of the next few, which delays its start by a few milliseconds. Only sessions that start together, as after a
 * hand-over, wait for a later phase that is clearly less used.
 */
export class Stagger {
  readonly #periodMs: number;
  readonly #counts: number[];
  readonly #lookahead: number;

  /** @param periodMs Packet interval of a session. @param lookaheadMs longest wait for a phase. */
  constructor(periodMs = 20, lookaheadMs = 8) {
    this.#periodMs = periodMs;
    this.#counts = new Array<number>(periodMs).fill(0);
    this.#lookahead = lookaheadMs;
  }

  /** @returns The delay until the session starts, ms, and the phase to pass to {@link release}. */
  take(nowMs: number): { delayMs: number; phase: number } {
    const first = Math.ceil(nowMs);
    const near = this.#leastUsed(first, first + this.#lookahead);
    const any = this.#leastUsed(first, first + this.#periodMs - 1);
    const best = this.#count(near) - this.#count(any) > CLEARLY ? any : near;
    const phase = best % this.#periodMs;
    this.#counts[phase] = this.#count(best) + 1;
    return { delayMs: best - nowMs, phase };
  }

  release(phase: number): void {
    this.#counts[phase] = Math.max(0, (this.#counts[phase] ?? 0) - 1);
  }

  /** @returns the first instant of the least used phase from `first` to `last`. */
  #leastUsed(first: number, last: number): number {
    let best = first;
    for (let at = first; at <= last; at++) if (this.#count(at) < this.#count(best)) best = at;
    return best;
  }

  #count(atMs: number): number {
    return this.#counts[atMs % this.#periodMs] ?? 0;
  }
}
