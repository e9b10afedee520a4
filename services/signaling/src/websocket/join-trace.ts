import type { Span, SpanAttributes, Tracer } from '@humancast/shared';

/** Maximum time from a viewer's connection to its report of the first frame. */
const REPORT_WAIT_MS = 10_000;

/** Traces a join: from the request, through the host's part, to the first frame that the viewer reports. */
export class JoinTrace {
  readonly #tracer: Tracer;
  readonly #startMs = Date.now();
  readonly #whole: Span;
  readonly #admission: Span;
  #connectedAtMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param name `join`, or `reconnect` if a joined viewer requests a new connection. */
  constructor(tracer: Tracer, name: 'join' | 'reconnect', attributes: SpanAttributes) {
    this.#tracer = tracer;
    this.#whole = tracer.start(name, { kind: 'server', startMs: this.#startMs, attributes });
    this.#admission = tracer.start(`${name}.admit`, { parent: this.#whole.traceparent, startMs: this.#startMs });
  }

  /** Trace context for the host; `undefined` if nothing is traced. */
  get traceparent(): string | undefined {
    return this.#whole.traceparent;
  }

  /** Ends the admission span: the viewer is registered and a host was notified. */
  admitted(attributes: SpanAttributes): void {
    this.#whole.set(attributes);
    this.#admission.end();
  }

  /** Records when the host connected to the viewer, ms since the Unix epoch. */
  connected(atMs: number): void {
    if (!this.#tracer.enabled || this.#connectedAtMs !== undefined) return;
    this.#connectedAtMs = atMs;
    this.#timer = setTimeout(() => this.over(), REPORT_WAIT_MS).unref();
  }

  /** @param afterMs Time to the first frame as measured by the viewer, from the start of connecting, before its `join`. */
  firstFrame(afterMs: number): void {
    if (this.#connectedAtMs === undefined) return;
    const endMs = Math.min(this.#startMs + afterMs, Date.now());
    const frame = { parent: this.#whole.traceparent, startMs: Math.min(this.#connectedAtMs, endMs) };
    this.#tracer.start('viewer.first_frame', { ...frame, attributes: { afterMs } }).end({ atMs: endMs });
    this.#end(endMs, undefined);
  }

  /** Ends the trace. @param reason Error of a viewer that was never connected. */
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
