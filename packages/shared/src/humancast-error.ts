import { ERRORS, type ErrorCode, type Problem } from '@humancast/protocol';

export interface ErrorDetails {
  /** Tells people what was wrong and what would be right. */
  detail?: string;
  /** Delay before a retry makes sense, s. */
  retryAfterSeconds?: number;
  /** Further machine-readable members of the problem document. */
  extra?: Record<string, unknown>;
  cause?: unknown;
}

/** An error that callers may see. Any other error is answered as `internal` and its text is only logged. */
export class HumancastError extends Error {
  override readonly name = 'HumancastError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly extra: Record<string, unknown>;

  constructor(code: ErrorCode, detailOrDetails: string | ErrorDetails = {}) {
    const details = typeof detailOrDetails === 'string' ? { detail: detailOrDetails } : detailOrDetails;
    super(details.detail ?? ERRORS[code].title, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = ERRORS[code].status;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.extra = details.extra ?? {};
  }
}

/** Converts any thrown value; one that is not a {@link HumancastError} becomes `internal` and discloses nothing. */
export function toProblem(error: unknown): Problem {
  const known = error instanceof HumancastError ? error : new HumancastError('internal');
  return {
    ...known.extra,
    type: `https://humancast.dev/errors#${known.code}`,
    title: ERRORS[known.code].title,
    status: known.status,
    code: known.code,
    detail: known.message,
  };
}
