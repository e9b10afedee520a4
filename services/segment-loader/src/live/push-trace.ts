import { type Span, type SpanAttributes, Stages, type Tracer } from '@humancast/shared';

/** The trace of a live push: how it was opened, and what it took until its first frame could be played. */
export class PushTrace {
  readonly #tracer: Tracer;
  readonly #whole: Span;
  readonly #opening: Span;
  readonly #attributes: SpanAttributes;
  /** Of the first frame. */
  #stages: Stages | undefined;
  #encoded = false;

  /** @param parent of the producer. */
  constructor(tracer: Tracer, parent: string | undefined, attributes: SpanAttributes) {
    this.#tracer = tracer;
    this.#attributes = attributes;
    this.#whole = tracer.start('live.push', { parent, kind: 'server', attributes });
    this.#opening = tracer.start('live.open', { parent: this.#whole.traceparent });
  }

  get traceparent(): string | undefined {
    return this.#whole.traceparent;
  }

  /** Frames may come. */
  opened(segment: string): void {
    this.#whole.set({ segment });
    this.#opening.end();
  }

  /** A frame has come; the first counts. */
  received(): void {
    this.#stages ??= new Stages(Date.now());
  }

  /** A frame is encoded; the first counts. @param stored when those who play it can have it. */
  encoded(stored: Promise<unknown>): void {
    if (this.#encoded) return;
    this.#encoded = true;
    const stages = this.#stages;
    if (!stages || !this.#tracer.enabled) return;
    stages.end('live.encode');
    const tell = (error?: string) => {
      stages.end('live.store');
      const { traceparent: parent } = this.#whole;
      stages.tell(this.#tracer, 'live.first_frame', { parent, attributes: this.#attributes, error });
    };
    stored.then(
      () => tell(),
      () => tell('not stored'),
    );
  }

  /** @param error why it ended early, if it did. */
  over(error: string | undefined): void {
    this.#opening.end({ error });
    this.#whole.end({ error });
  }
}
