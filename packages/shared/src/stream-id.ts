/**
 * Compares two IDs of Redis stream entries, `milliseconds-sequence`; a missing sequence is 0.
 * @returns A negative number if `a` is earlier, 0 if both are equal, else a positive number.
 */
export function compareStreamIds(a: string, b: string): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number);
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number);
  return aMs - bMs || aSequence - bSequence;
}
