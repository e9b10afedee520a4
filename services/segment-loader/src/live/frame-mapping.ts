import type { Rational } from '@humancast/protocol';

/**
 * How many frames of the segment's rate a producer's frame stands for: none, one, or more. Frame n of the segment shows what
 * the producer shows at that instant, so the two never part, whatever the rates.
 */
export function framesFor(index: number, from: Rational, to: Rational): number {
  return framesBefore(index + 1, from, to) - framesBefore(index, from, to);
}

function framesBefore(index: number, from: Rational, to: Rational): number {
  return Math.ceil((index * to.num * from.den) / (to.den * from.num));
}
