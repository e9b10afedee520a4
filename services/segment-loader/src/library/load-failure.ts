import { type ErrorCode } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';

const FIRST_DELAY_MS = 2000;
const FIRST_DELAY_FULL_MS = 30_000;
const LONGEST_DELAY_MS = 600_000;

export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  /** Number of consecutive failures. */
  readonly count: number;
  /** Time of the next attempt, monotonic ms; `undefined`: not before the file changes. */
  readonly retryAtMs: number | undefined;
}

/**
 * Decides when a failed library load is retried: never for unusable media, otherwise after an exponentially growing delay.
 */
export function failureOf(error: unknown, former: Failure | undefined, nowMs: number): Failure {
  const code = error instanceof HumancastError ? error.code : 'internal';
  const message = error instanceof HumancastError ? error.message : 'internal error; see the log';
  const count = (former?.count ?? 0) + 1;
  if (code.startsWith('media_') && code !== 'media_store_full') return { code, message, count, retryAtMs: undefined };
  const firstMs = code === 'media_store_full' ? FIRST_DELAY_FULL_MS : FIRST_DELAY_MS;
  return { code, message, count, retryAtMs: nowMs + Math.min(firstMs * 2 ** (count - 1), LONGEST_DELAY_MS) };
}
