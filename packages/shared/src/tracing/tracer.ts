export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** Named as log fields are: `session`, `viewer`, `segment`, … What is `undefined` is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanOptions {
  /** The span above it, as W3C `traceparent`; without one it begins a trace. */
  readonly parent?: string | undefined;
  readonly kind?: SpanKind;
  /** Milliseconds since the Unix epoch; default: now. */
  readonly startMs?: number;
  readonly attributes?: SpanAttributes;
}

export interface SpanEnd {
  /** Milliseconds since the Unix epoch; default: now. */
  readonly atMs?: number;
  /** Why it failed, if it did: an error code, or a reason. */
  readonly error?: string | undefined;
}

/** A stretch of time in a trace. */
export interface Span {
  /** For the message or request that goes on with it; `undefined` when nothing is traced. */
  readonly traceparent: string | undefined;
  set(attributes: SpanAttributes): void;
  /** Only the first call counts. */
  end(end?: SpanEnd): void;
}

/** Makes spans. None of its methods ever throws or waits. */
export interface Tracer {
  /** Whether anything is recorded: what is only good for traces can be left out otherwise. */
  readonly enabled: boolean;
  start(name: string, options?: SpanOptions): Span;
}

const NO_SPAN: Span = { traceparent: undefined, set() {}, end() {} };

/** Without an endpoint: records nothing, passes nothing on, loads nothing. */
export const NO_TRACER: Tracer = { enabled: false, start: () => NO_SPAN };

/** A span around a task, which ends with it. @throws what the task throws, of which the span has the code. */
export async function traced<T>(span: Span, task: (span: Span) => Promise<T>): Promise<T> {
  try {
    const result = await task(span);
    span.end();
    return result;
  } catch (error) {
    span.end({ error: (error as { code?: string }).code ?? (error as Error).name });
    throw error;
  }
}
