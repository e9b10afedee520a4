/** A flash and its beep. */
export interface Pair {
  /** Time of the beep, on the clock of both inputs. */
  readonly atMs: number;
  /** Flash minus beep: positive when the video is late. */
  readonly errorMs: number;
}

/** Maximum distance of a pair; they come once a second. */
const MAX_APART_MS = 400;

/** Pairs every beep with the nearest flash. Beeps without one, at the edges or lost, are left out. */
export function pairUp(flashesMs: readonly number[], beepsMs: readonly number[]): Pair[] {
  return beepsMs.flatMap((atMs) => {
    const errors = flashesMs.map((flashMs) => flashMs - atMs).toSorted((a, b) => Math.abs(a) - Math.abs(b));
    const [errorMs] = errors;
    return errorMs !== undefined && Math.abs(errorMs) <= MAX_APART_MS ? [{ atMs, errorMs }] : [];
  });
}
