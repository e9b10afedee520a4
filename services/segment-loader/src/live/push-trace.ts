import { type Span, type SpanAttributes, Stages, type Tracer } from '@humancast/shared';

/** Traces a live push: its opening, and the stages of its first frame. */
export class PushTrace {
  readonly #tracer: Tracer;
  readonly #whole: Span;
  readonly #opening: Span;
  readonly #attributes: SpanAttributes;
  /** Stages of the first frame. */
  #stages: Stages | undefined;
  #encoded = false;

  /** @param parent Trace context of the producer. */
  constructor(tracer: Tracer, parent: string | undefined, attributes: SpanAttributes) {
    this.#tracer = tracer;
    this.#attributes = attributes;
    this.#whole = tracer.start('live.push', { parent, kind: 'server', attributes });
    this.#opening = tracer.start('live.open', { parent: this.#whole.traceparent });
  }

  get traceparent(): string | undefined {
    return this.#whole.traceparent;
  }

  /** Records that frames may come. */
  opened(segment: string): void {
    this.#whole.set({ segment });
    this.#opening.end();
  }

  /** Records a received frame; only the first counts. */
  received(): void {
    this.#stages ??= new Stages(Date.now());
  }

  /** Records an encoded frame; only the first counts. @param stored Resolves when media-senders can read it. */
  encoded(stored: Promise<unknown>): void {
    if (this.#encoded) return;
    this.#encoded = true;
    const stages = this.#stages;
    if (!stages || !this.#tracer.enabled) return;
    stages.end('live.encode');
    const record = (error?: string) => {
      stages.end('live.store');
      const { traceparent: parent } = this.#whole;
      stages.record(this.#tracer, 'live.first_frame', { parent, attributes: this.#attributes, error });
    };
    stored.then(
      () => record(),
      () => record('not stored'),
    );
  }

  /** @param error Why the push ended early, if it did. */
  over(error: string | undefined): void {
    this.#opening.end({ error });
    this.#whole.end({ error });
  }
}
