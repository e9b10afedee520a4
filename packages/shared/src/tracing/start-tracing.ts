import type { Logger } from '../log.js';
import { NO_TRACER, type Tracer } from './tracer.js';

export interface TracingOptions {
  /** Base URL of an OTLP/HTTP receiver, to which `/v1/traces` is added; empty: nothing is traced. */
  readonly endpoint: string;
  /** The whole URL for traces, instead of that; may be empty. */
  readonly tracesEndpoint: string;
  /** Of the traces that begin here, the share that is recorded, 0 to 1. */
  readonly share: number;
}

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what has not been sent, within two seconds. */
  close(): Promise<void>;
}

const NO_TRACING: Tracing = { tracer: NO_TRACER, close: async () => {} };

/** Off unless an endpoint is set, and then OpenTelemetry is not even loaded. */
export async function startTracing(service: string, options: TracingOptions, logger: Logger): Promise<Tracing> {
  const { endpoint, tracesEndpoint, share } = options;
  if (endpoint === '' && tracesEndpoint === '') return NO_TRACING;
  const url = tracesEndpoint || `${endpoint.replace(/\/$/, '')}/v1/traces`;
  const { OtlpTracing } = await import('./otlp-tracing.js');
  return new OtlpTracing({ service, url, share, logger });
}
