/**
 * Compares two ids of Redis stream entries, `milliseconds-sequence`; without a sequence, 0.
 * @returns a negative number when `a` is the earlier one, 0 when both are the same, a positive number otherwise.
 */
export function compareStreamIds(a: string, b: string): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number);
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number);
  return aMs - bMs || aSequence - bSequence;
}
