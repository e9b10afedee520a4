import type { SpanAttributes, SpanKind, Tracer } from './tracer.js';

/** More are not noted. */
const MOST_STAGES = 16;

export interface StagesTold {
  readonly parent: string | undefined;
  readonly kind?: SpanKind;
  readonly attributes: SpanAttributes;
  /** Why it went no further, if it didn't reach its end. */
  readonly error?: string | undefined;
}

/**
 * What a latency is made of: stages, each from the end of the one before to its own. They are only noted as they end, and
 * told in one go when all is over, so that it costs nothing in between, and the parent may become known later than the first.
 */
export class Stages {
  readonly #startMs: number;
  readonly #ends = new Map<string, number>();

  /** @param startMs of the first stage, milliseconds since the Unix epoch. */
  constructor(startMs: number) {
    this.#startMs = startMs;
  }

  has(stage: string): boolean {
    return this.#ends.has(stage);
  }

  /** The stage is over. Only the first time counts. */
  end(stage: string, atMs: number = Date.now()): void {
    if (this.#ends.has(stage) || this.#ends.size >= MOST_STAGES) return;
    this.#ends.set(stage, atMs);
  }

  /** A span of the whole, and one under it for each stage. */
  tell(tracer: Tracer, name: string, { parent, kind = 'internal', attributes, error }: StagesTold): void {
    const whole = tracer.start(name, { parent, kind, startMs: this.#startMs, attributes });
    let fromMs = this.#startMs;
    // Clocks of two machines may differ by more than the first stage took.
    const inOrder = [...this.#ends].sort(([, a], [, b]) => a - b);
    for (const [stage, endMs] of inOrder) {
      tracer.start(stage, { parent: whole.traceparent, startMs: Math.min(fromMs, endMs) }).end({ atMs: endMs });
      fromMs = endMs;
    }
    whole.end({ error, ...(inOrder.length > 0 && error === undefined && { atMs: fromMs }) });
  }
}
