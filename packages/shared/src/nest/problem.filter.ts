import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { Request, Response } from 'express';
import { type HumancastError, toProblem } from '../humancast-error.js';
import type { Logger } from '../log.js';
import { toHumancastError } from '../to-humancast-error.js';

/** Answers errors with a problem document (RFC 9457). Unexpected ones are logged in full and answered as `internal`. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger: Logger;
  readonly #onError: (error: HumancastError) => void;

  /** @param onError Called with each error returned to a caller. */
  constructor(logger: Logger, onError: (error: HumancastError) => void = () => {}) {
    this.#logger = logger;
    this.#onError = onError;
  }

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const response = http.getResponse<Response>();
    const error = toHumancastError(thrown);
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

/** @returns The session that a request concerns, for the log. */
function sessionOf({ path }: Request): { session?: string } {
  const session = /\/sessions\/([\w-]+)/.exec(path)?.[1];
  return session === undefined ? {} : { session };
}
