import { ProducerError } from '@humancast/producer';
import { type ErrorCode } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';

/** Errors the caller can act on. All others, such as a wrong API key of this service, are reported as `unavailable`. */
const FOR_THE_CALLER: readonly ErrorCode[] = [
  'avatar_not_found',
  'interrupted',
  'media_store_full',
  'no_capacity',
  'queue_full',
  'rate_limited',
  'session_ended',
  'session_not_found',
  'too_many_pushes',
];

/** @returns the error to report to the caller. */
export function callerError(error: unknown): HumancastError {
  if (error instanceof HumancastError) return error;
  if (!(error instanceof ProducerError)) return new HumancastError('internal', { cause: error });
  const code = FOR_THE_CALLER.find((known) => known === error.code) ?? 'unavailable';
  const { retryAfterSeconds } = error;
  return new HumancastError(code, {
    ...(code === error.code && { detail: error.message }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    cause: error,
  });
}
