/**
 * Why a datagram was not acted on. `failed`: reading it threw, which is a fault of ours; all others are what strangers,
 * lossy networks and late packets bring about.
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
  /** What was thrown, for `failed`. */
  readonly error?: unknown;
}
