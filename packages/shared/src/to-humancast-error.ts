import type { ErrorCode } from '@humancast/protocol';
import { HumancastError } from './humancast-error.js';

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'bad_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  413: 'message_too_large',
  415: 'unsupported_media_type',
  429: 'rate_limited',
};

/** Converts what a framework, a parser or a database client threw; an unexpected error becomes `internal`. */
export function toHumancastError(thrown: unknown): HumancastError {
  if (thrown instanceof HumancastError) return thrown;
  if (isHttpException(thrown)) {
    const code = CODE_OF_STATUS[thrown.getStatus()];
    if (code) return new HumancastError(code, { detail: thrown.message, cause: thrown });
  }
  // body-parser and friends: errors with a status and a message meant for the caller
  const { status, expose, message } = (thrown ?? {}) as { status?: number; expose?: boolean; message?: string };
  const code = expose && status !== undefined ? CODE_OF_STATUS[status] : undefined;
  if (code) return new HumancastError(code, { ...(message === undefined ? {} : { detail: message }), cause: thrown });
  if (isConnectionError(thrown)) {
    return new HumancastError('unavailable', {
      detail: 'a database is not reachable; try again',
      retryAfterSeconds: 2,
      cause: thrown,
    });
  }
  return new HumancastError('internal', { cause: thrown });
}

function isConnectionError(thrown: unknown): boolean {
  const { name, code, message } = (thrown ?? {}) as { name?: string; code?: string; message?: string };
  if (name === 'MaxRetriesPerRequestError' || message === 'Command timed out') return true;
  // Redis itself: full, still reading its file, or unable to write it.
  if (name === 'ReplyError' && /^(OOM|LOADING|MISCONF|BUSY) /.test(message ?? '')) return true;
  return code === 'Econnection refused' || code === 'ECONNRESET' || code === 'ETIMEDOUT';
}

/** @returns Whether this is a NestJS `HttpException`; the class itself is not imported here. */
function isHttpException(thrown: unknown): thrown is Error & { getStatus(): number } {
  return thrown instanceof Error && 'getStatus' in thrown && typeof thrown.getStatus === 'function';
}
