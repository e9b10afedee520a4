import { z } from 'zod';

/**
 * Version 00 of the W3C's Trace Context: trace id, id of the span that is the parent, flags. Ids of zeros are invalid
 * (§3.2.2).
 */
const FORMAT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Trace context in messages: the parent span of what they cause. Omitted while tracing is off. */
export const traceparentSchema = z.string().regex(FORMAT);

/** @returns The trace id for log lines, if there is one. */
export function traceFields(traceparent: string | undefined): { traceId?: string } {
  const traceId = traceparent?.split('-')[1];
  return traceId === undefined ? {} : { traceId };
}

/** @returns The header `traceparent` of a request; an invalid one is ignored, as the recommendation requires (§3.2.2). */
export function traceparentOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' && FORMAT.test(header) ? header : undefined;
}
