export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer';

/** Attributes, named like log fields: `session`, `viewer`, `segment`, … `undefined` ones are omitted. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

export interface SpanOptions {
  /** Parent span as W3C `traceparent`; without it the span begins a trace. */
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

/** A time span in a trace. */
export interface Span {
  /** Context for messages or requests that continue the trace; `undefined` while tracing is off. */
  readonly traceparent: string | undefined;
  set(attributes: SpanAttributes): void;
  /** Only the first call counts. */
  end(end?: SpanEnd): void;
}

/** Makes spans. Its methods neither throw nor block. */
export interface Tracer {
  /** Whether anything is recorded; work that is only useful for traces can be skipped otherwise. */
  readonly enabled: boolean;
  start(name: string, options?: SpanOptions): Span;
}

const NO_SPAN: Span = { traceparent: undefined, set() {}, end() {} };

/** The tracer without an endpoint: records nothing. */
export const NO_TRACER: Tracer = { enabled: false, start: () => NO_SPAN };

/** Makes a span around a task. @throws what the task throws; the span has its code. */
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
