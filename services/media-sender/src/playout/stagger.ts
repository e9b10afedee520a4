/** Number of sessions by which a phase must be less used to be worth a longer wait. */
const CLEARLY = 1;

/**
 * Assigns sessions one of a few phases within the 20 ms of an audio packet, so that their packets spread over it. Sessions that
 * share a phase share wake-ups and system calls, which is what few packets mostly cost; and with thirds of 20 ms, the
 * frames of 30 a second fall on the same instants as audio. A new session gets the less used of the next two phases, which
 * delays its start by a few milliseconds. Only sessions that start together, as after a hand-over, wait for one that is
 * clearly less used.
 */
export class Stagger {
  readonly #stepMs: number;
  readonly #counts: number[];

  /** @param periodMs Packet interval of a session. */
  constructor(periodMs = 20, phases = 3) {
    this.#stepMs = periodMs / phases;
    this.#counts = new Array<number>(phases).fill(0);
  }

  /** @returns The delay until the session starts, ms, and the phase to pass to {@link release}. */
  take(nowMs: number): { delayMs: number; phase: number } {
    const first = Math.ceil(nowMs / this.#stepMs);
    const near = this.#leastUsed(first, first + 1);
    const any = this.#leastUsed(first, first + this.#counts.length - 1);
    const best = this.#count(near) - this.#count(any) > CLEARLY ? any : near;
    const phase = best % this.#counts.length;
    this.#counts[phase] = this.#count(best) + 1;
    return { delayMs: best * this.#stepMs - nowMs, phase };
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

  #count(instant: number): number {
    return this.#counts[instant % this.#counts.length] ?? 0;
  }
}
