import type { IncomingMessage } from 'node:http';
import { HumancastError, parseRequest } from '@humancast/shared';
import type { z } from 'zod';

/**
 * A request's JSON body, parsed and checked.
 * @throws HumancastError `unsupported_media_type`, `bad_request`.
 */
export function jsonBody<T>(request: IncomingMessage, body: unknown, schema: z.ZodType<T, unknown>): T {
  const type = request.headers['content-type'];
  if (type !== undefined && mediaTypeOf(type) !== 'application/json') {
    throw new HumancastError('unsupported_media_type', 'the body must be application/json');
  }
  return parseRequest(schema, body ?? {});
}

/** The media type of a Content-Type header, without its parameters (RFC 9110 §8.3.1). */
export function mediaTypeOf(contentType: string | undefined): string | undefined {
  return contentType?.split(';')[0]?.trim().toLowerCase();
}
