import type { Logger } from '../log.js';
import { NO_TRACER, type Tracer } from './tracer.js';

export interface TracingOptions {
  /** Base URL of an OTLP/HTTP receiver, to which `/v1/traces` is appended; empty turns tracing off. */
  readonly endpoint: string;
  /** The complete URL for traces, which overrides the base URL; may be empty. */
  readonly tracesEndpoint: string;
  /** Share of the traces starting here that is recorded, 0 to 1. */
  readonly share: number;
}

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends pending spans, within two seconds. */
  close(): Promise<void>;
}

const NO_TRACING: Tracing = { tracer: NO_TRACER, close: async () => {} };

/** Starts tracing if an endpoint is set; otherwise OpenTelemetry is not even loaded. */
export async function startTracing(service: string, options: TracingOptions, logger: Logger): Promise<Tracing> {
  const { endpoint, tracesEndpoint, share } = options;
  if (endpoint === '' && tracesEndpoint === '') return NO_TRACING;
  const url = tracesEndpoint || `${endpoint.replace(/\/$/, '')}/v1/traces`;
  const { OtlpTracing } = await import('./otlp-tracing.js');
  return new OtlpTracing({ service, url, share, logger });
}
