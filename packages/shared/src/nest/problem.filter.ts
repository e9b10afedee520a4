import { type ErrorCode } from '@humancast/protocol';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { Request, Response } from 'express';
import { HumancastError, toProblem } from '../humancast-error.js';
import type { Logger } from '../log.js';

/** Every error leaves as a problem document (RFC 9457); what we did not foresee is logged in full and told as `internal`. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger: Logger;
  readonly #onError: (error: HumancastError) => void;

  /** @param onError told each error that a caller gets. */
  constructor(logger: Logger, onError: (error: HumancastError) => void = () => {}) {
    this.#logger = logger;
    this.#onError = onError;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const response = http.getResponse<Response>();
    const error = asHumancastError(thrown);
    this.#onError(error);
    if (error.status >= 500) {
      const session = sessionOf(http.getRequest<Request>());
      this.#logger.error({ err: thrown, code: error.code, ...session }, 'request failed');
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(error.retryAfterSeconds));
    if (error.status === 401) response.setHeader('www-authenticate', 'Bearer');
    response
      .status(error.status)
      .type('application/problem+json')
      .send(JSON.stringify(toProblem(error)));
  }
}

/** For log lines: the session that a request is about. */
function sessionOf({ path }: Request): { session?: string } {
  const session = /\/sessions\/([\w-]+)/.exec(path)?.[1];
  return session === undefined ? {} : { session };
}

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

/** What a framework or a parser threw, as one of ours. */
export function asHumancastError(thrown: unknown): HumancastError {
  if (thrown instanceof HumancastError) return thrown;
  if (thrown instanceof HttpException) {
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
  return code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'ETIMEDOUT';
}
