import type { Rational } from '@humancast/protocol';

/**
 * @returns The number of the segment's frames that a producer's frame becomes: 0, 1 or more. Frame n of the segment shows
 * what the producer shows at that time, so the two never drift, whatever the rates.
 */
export function framesFor(index: number, from: Rational, to: Rational): number {
  return framesBefore(index + 1, from, to) - framesBefore(index, from, to);
}

/** @returns The number of the segment's frames before a producer's frame. */
export function framesBefore(index: number, from: Rational, to: Rational): number {
  return Math.ceil((index * to.num * from.den) / (to.den * from.num));
}
