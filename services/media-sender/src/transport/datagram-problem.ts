/**
 * Why a datagram was ignored. `not-negotiated` is media of a viewer without the right to speak, of another stream or of
 * another codec; `failed` means that reading it threw, which is a fault of ours; strangers, lossy networks and
 * late packets cause all others.
 */
export const DATAGRAM_PROBLEMS = [
  'malformed',
  'unsupported',
  'unauthenticated',
  'unknown-source',
  'not-negotiated',
  'rate-limited',
  'failed',
] as const;

export interface DatagramProblem {
  readonly reason: (typeof DATAGRAM_PROBLEMS)[number];
  /** The thrown value, for `failed`. */
  readonly error?: unknown;
}
