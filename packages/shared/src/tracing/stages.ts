import type { SpanAttributes, SpanKind, Tracer } from './tracer.js';

/** Maximum number of stages; further ones are not recorded. */
const MAX_STAGES = 16;

export interface StagesRecord {
  readonly parent: string | undefined;
  readonly kind?: SpanKind;
  readonly attributes: SpanAttributes;
  /** Why it ended early, if it did. */
  readonly error?: string | undefined;
}

/**
 * Records the stages of a latency, each from the end of the previous one. Spans are made in one go at the end, so that
 * recording costs nothing and the parent may become known later than the first stage.
 */
export class Stages {
  readonly #startMs: number;
  readonly #ends = new Map<string, number>();

  /** @param startMs Start of the first stage, milliseconds since the Unix epoch. */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  has(stage: string): boolean {
    return this.#ends.has(stage);
  }

  /** Ends a stage. Only the first call for a stage counts. */
  end(stage: string, atMs: number = Date.now()): void {
    if (this.#ends.has(stage) || this.#ends.size >= MAX_STAGES) return;
    this.#ends.set(stage, atMs);
  }

  /** Records a span, and a child span for each stage. */
  record(tracer: Tracer, name: string, { parent, kind = 'internal', attributes, error }: StagesRecord): void {
    const span = tracer.start(name, { parent, kind, startMs: this.#startMs, attributes });
    let fromMs = this.#startMs;
    // Clocks of two machines may differ by more than the first stage took.
    const inOrder = [...this.#ends].sort(([, a], [, b]) => a - b);
    for (const [stage, endMs] of inOrder) {
      tracer.start(stage, { parent: span.traceparent, startMs: Math.min(fromMs, endMs) }).end({ atMs: endMs });
      fromMs = endMs;
    }
    span.end({ error, ...(inOrder.length > 0 && error === undefined && { atMs: fromMs }) });
  }
}
