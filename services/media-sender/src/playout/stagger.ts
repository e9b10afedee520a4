/**
 * Assigns sessions a phase within the 20 ms of an audio packet, so that their packets spread over it. A new session gets the
 * least used phase of the next few, which delays its start by a few milliseconds at most.
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
    let best = first;
    for (let at = first; at <= first + this.#lookahead; at++) {
      if (this.#count(at) < this.#count(best)) best = at;
    }
    const phase = best % this.#periodMs;
    this.#counts[phase] = this.#count(best) + 1;
    return { delayMs: best - nowMs, phase };
  }

  release(phase: number): void {
    this.#counts[phase] = Math.max(0, (this.#counts[phase] ?? 0) - 1);
  }

  #count(atMs: number): number {
    return this.#counts[atMs % this.#periodMs] ?? 0;
  }
}
