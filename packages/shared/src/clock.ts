/** Time, injected wherever it matters so that tests can own it. */
export interface Clock {
  /** Monotonic milliseconds with sub-millisecond resolution; unaffected by wall-clock steps. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch. May step; never used to decide when something is due. */
  wallMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
};
