/** A flash and the beep that belongs to it. */
export interface Pair {
  /** Of the beep, on whatever clock both were given in. */
  readonly atMs: number;
  /** Flash minus beep: positive when the picture is late. */
  readonly errorMs: number;
}

/** They come once a second; further apart than this, they don't belong together. */
const MAX_APART_MS = 400;

/** Every beep with the flash next to it; one that has none, at the edges or lost, is left out. */
export function pairUp(flashesMs: readonly number[], beepsMs: readonly number[]): Pair[] {
  return beepsMs.flatMap((atMs) => {
    const errors = flashesMs.map((flashMs) => flashMs - atMs).toSorted((a, b) => Math.abs(a) - Math.abs(b));
    const [errorMs] = errors;
    return errorMs !== undefined && Math.abs(errorMs) <= MAX_APART_MS ? [{ atMs, errorMs }] : [];
  });
}
