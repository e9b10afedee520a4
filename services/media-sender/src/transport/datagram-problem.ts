/**
 * Why a datagram was ignored. `failed` means that reading it threw, which is a fault of ours; strangers, lossy networks and
 * late packets cause all others.
 */
export const DATAGRAM_PROBLEMS = [
  'malformed',
  'unsupported',
  'unauthenticated',
  'unknown-source',
  'rate-limited',
  'failed',
] as const;

export interface DatagramProblem {
  readonly reason: (typeof DATAGRAM_PROBLEMS)[number];
  /** The thrown value, for `failed`. */
  readonly error?: unknown;
}
