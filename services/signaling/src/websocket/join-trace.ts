import type { Span, SpanAttributes, Tracer } from '@humancast/shared';

/** A viewer that is connected and has not said when it saw the first frame says no more. */
const REPORT_WAIT_MS = 10_000;

/** The trace of a viewer's way to a picture: from asking for it, over the host's part, to the first frame it says it saw. */
export class JoinTrace {
  readonly #tracer: Tracer;
  readonly #startMs = Date.now();
  readonly #whole: Span;
  readonly #admission: Span;
  #connectedAtMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param name `join`, or `reconnect`: a viewer who is there wants a new connection. */
  constructor(tracer: Tracer, name: 'join' | 'reconnect', attributes: SpanAttributes) {
    this.#tracer = tracer;
    this.#whole = tracer.start(name, { kind: 'server', startMs: this.#startMs, attributes });
    this.#admission = tracer.start(`${name}.admit`, { parent: this.#whole.traceparent, startMs: this.#startMs });
  }

  /** For the host; `undefined` when nothing is traced. */
  get traceparent(): string | undefined {
    return this.#whole.traceparent;
  }

  /** The viewer has been let in, and a host knows that it waits. */
  admitted(attributes: SpanAttributes): void {
    this.#whole.set(attributes);
    this.#admission.end();
  }

  /** The host has sent it media. */
  connected(atMs: number): void {
    if (!this.#tracer.enabled || this.#connectedAtMs !== undefined) return;
    this.#connectedAtMs = atMs;
    this.#timer = setTimeout(() => this.over(), REPORT_WAIT_MS).unref();
  }

  /** @param afterMs as the viewer counts: from when it began to connect, which is before it could ask. */
  firstFrame(afterMs: number): void {
    if (this.#connectedAtMs === undefined) return;
    const endMs = Math.min(this.#startMs + afterMs, Date.now());
    const frame = { parent: this.#whole.traceparent, startMs: Math.min(this.#connectedAtMs, endMs) };
    this.#tracer.start('viewer.first_frame', { ...frame, attributes: { afterMs } }).end({ atMs: endMs });
    this.#end(endMs, undefined);
  }

  /** Nothing more will come of it. @param reason why not, if the viewer has not been connected. */
  over(reason?: string): void {
    if (this.#connectedAtMs === undefined) this.#end(undefined, reason);
    else this.#end(this.#connectedAtMs, undefined);
  }

  #end(atMs: number | undefined, error: string | undefined): void {
    clearTimeout(this.#timer);
    this.#admission.end({ error });
    this.#whole.end({ error, ...(atMs !== undefined && { atMs }) });
  }
}
