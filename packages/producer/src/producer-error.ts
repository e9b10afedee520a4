/** Codes of errors between producer and humancast; all others are humancast's own, listed in docs/errors.md. */
export type LocalErrorCode =
  /** No connection could be made. */
  | 'unreachable'
  /** The answer did not arrive in time. */
  | 'timeout'
  /** The connection was lost before the call was complete. */
  | 'connection_lost'
  /** The answer has an unexpected format: it is not from humancast, or from another version. */
  | 'bad_answer'
  /** More was pushed than may be buffered, without awaiting earlier calls. */
  | 'push_overrun';

export interface ProducerErrorDetails {
  /** Status of the HTTP answer, if there was one. */
  status?: number | undefined;
  /** Delay before a retry makes sense, s. */
  retryAfterSeconds?: number | undefined;
  /** Further members of the problem document, such as the `segment` that is meant. */
  extra?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** The error of every failed call, except aborted ones, which reject with their signal's reason. */
export class ProducerError extends Error {
  override readonly name = 'ProducerError';
  /** Stable error code. */
  readonly code: LocalErrorCode | (string & {});
  readonly status: number | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: LocalErrorCode | (string & {}), message: string, details: ProducerErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = details.status;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.extra = details.extra ?? {};
  }
}
