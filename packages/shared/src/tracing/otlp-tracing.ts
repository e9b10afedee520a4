import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Context,
  type DiagLogFunction,
  DiagLogLevel,
  diag,
  type HrTime,
  isSpanContextValid,
  type Span as OtelSpan,
  SpanKind as OtelSpanKind,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, resourceAttributesEnvDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from '../log.js';
import type { Tracing } from './start-tracing.js';
import type { Span, SpanAttributes, SpanEnd, SpanKind, SpanOptions, Tracer } from './tracer.js';

/** Maximum number of spans waiting to be sent; further ones are dropped. */
const QUEUE_LIMIT = 2048;
const BATCH_LIMIT = 512;
const SEND_DELAY_MS = 1000;
const SEND_TIMEOUT_MS = 5000;
const CLOSE_TIMEOUT_MS = 2000;
const ATTRIBUTE_LENGTH = 256;

const KINDS: Readonly<Record<SpanKind, OtelSpanKind>> = {
  internal: OtelSpanKind.INTERNAL,
  server: OtelSpanKind.SERVER,
  client: OtelSpanKind.CLIENT,
  producer: OtelSpanKind.PRODUCER,
  consumer: OtelSpanKind.CONSUMER,
};

export interface OtlpTracingOptions {
  readonly service: string;
  readonly url: string;
  readonly share: number;
  readonly logger: Logger;
}

/**
 * Tracing with OpenTelemetry's SDK and OTLP exporter (JSON over HTTP). Spans are created explicitly, without patching of
 * libraries, and contexts are passed explicitly. Only this file imports OpenTelemetry; it is loaded only if tracing is on.
 */
export class OtlpTracing implements Tracing {
  readonly tracer: Tracer;
  readonly #provider: TracerProvider;

  constructor({ service, url, share, logger }: OtlpTracingOptions) {
    const warn: DiagLogFunction = (message) => logger.warn({ err: message }, 'sending traces failed');
    diag.setLogger({ error: warn, warn, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
    this.#provider = new TracerProvider({
      resource: detectResources({ detectors: [resourceAttributesEnvDetector] }).merge(
        resourceFromAttributes({
          'service.name': service,
          'service.namespace': 'humancast',
          'host.name': hostname(),
          'process.pid': process.pid,
        }),
      ),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
      spanLimits: { attributeValueLengthLimit: ATTRIBUTE_LENGTH },
      spanProcessors: [
        new BatchSpanProcessor({
          exporter: new OTLPTraceExporter({ url, timeoutMillis: SEND_TIMEOUT_MS }),
          maxQueueSize: QUEUE_LIMIT,
          maxExportBatchSize: BATCH_LIMIT,
          scheduledDelayMillis: SEND_DELAY_MS,
          exportTimeoutMillis: SEND_TIMEOUT_MS,
        }),
      ],
    });
    this.tracer = new OtlpTracer(this.#provider.getTracer('humancast'));
  }

  async close(): Promise<void> {
    await Promise.race([this.#provider.shutdown().catch(() => {}), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }
}

class OtlpTracer implements Tracer {
  readonly enabled = true;
  readonly #tracer: OtelTracer;

  constructor(tracer: OtelTracer) {
    this.#tracer = tracer;
  }

  start(name: string, { parent, kind = 'internal', startMs, attributes = {} }: SpanOptions = {}): Span {
    const options = { kind: KINDS[kind], ...(startMs !== undefined && { startTime: hrTimeOf(startMs) }) };
    const span = new OtlpSpan(this.#tracer.startSpan(name, options, contextOf(parent)));
    span.set(attributes);
    return span;
  }
}

class OtlpSpan implements Span {
  readonly traceparent: string;
  readonly #span: OtelSpan;
  #ended = false;

  constructor(span: OtelSpan) {
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    this.#span = span;
  }

  set(attributes: SpanAttributes): void {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined) this.#span.setAttribute(name, value);
    }
  }

  end({ atMs, error }: SpanEnd = {}): void {
    if (this.#ended) return;
    this.#ended = true;
    if (error !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    this.#span.end(atMs === undefined ? undefined : hrTimeOf(atMs));
  }
}

function contextOf(traceparent: string | undefined): Context {
  const [, traceId = '', spanId = '', flags = ''] = traceparent?.split('-') ?? [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
}

/** Converts to HrTime, because OpenTelemetry takes a number before this process's start for one of `performance.now()`. */
function hrTimeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
