import type { IncomingMessage } from 'node:http';
import { HumancastError, parseRequest } from '@humancast/shared';
import type { z } from 'zod';

/**
 * Parses and validates a request's JSON body.
 * @throws HumancastError `unsupported_media_type`, `bad_request`.
 */
export function jsonBody<T>(request: IncomingMessage, body: unknown, schema: z.ZodType<T, unknown>): T {
  const type = request.headers['content-type'];
  if (type !== undefined && mediaTypeOf(type) !== 'application/json') {
    throw new HumancastError('unsupported_media_type', 'the body must be application/json');
  }
  return parseRequest(schema, body ?? {});
}

/** @returns The media type of a Content-Type header without its parameters (RFC 9110 §8.3.1). */
export function mediaTypeOf(contentType: string | undefined): string | undefined {
  return contentType?.split(';')[0]?.trim().toLowerCase();
}
