/** Codes of what goes wrong on the way to humancast; all others are its own, listed in docs/errors.md. */
export type LocalErrorCode =
  /** No connection could be made. */
  | 'unreachable'
  /** There was no answer in time. */
  | 'timeout'
  /** The connection broke before what was under way had been done. */
  | 'connection_lost'
  /** The answer is not of the expected form: not humancast, or another version of it. */
  | 'bad_answer'
  /** More was pushed, without waiting for the calls before, than is kept in memory. */
  | 'push_overrun';

export interface ProducerErrorDetails {
  /** Of the HTTP answer, when there was one. */
  status?: number | undefined;
  /** Seconds after which trying again makes sense. */
  retryAfterSeconds?: number | undefined;
  /** Further members of the problem document, such as which `segment` is meant. */
  extra?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** Whatever fails here fails with this, but for an aborted call, which fails with its signal's reason. */
export class ProducerError extends Error {
  override readonly name = 'ProducerError';
  /** To branch on: it never changes once released. */
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
