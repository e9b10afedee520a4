import { z } from 'zod';
import { HumancastError } from './humancast-error.js';

/**
 * Parses what a caller sent.
 * @throws HumancastError `bad_request`, which states what is wrong where. Any other ZodError is an internal error and
 * answered as `internal`.
 */
export function parseRequest<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new HumancastError('bad_request', { detail: describeIssues(parsed.error), cause: parsed.error });
}

/**
 * Parses what a caller sent by a schema that is also used for stored records. In records, unknown members are those of
 * another version and ignored; from a caller they are typing errors and rejected. For schemas that keep the shape of their
 * input.
 * @throws HumancastError `bad_request`.
 */
export function parseStrictRequest<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const parsed = parseRequest(schema, value);
  const unknown = [...unknownMembers(value, parsed, [])];
  if (unknown.length > 0) throw new HumancastError('bad_request', unknown.slice(0, ISSUES_TOLD).join('; '));
  return parsed;
}

const ISSUES_TOLD = 5;

/** @returns "segments.0: is not an id …", each issue with where it is. */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .slice(0, ISSUES_TOLD)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ${issue.message}` : issue.message))
    .join('; ');
}

function* unknownMembers(given: unknown, known: unknown, path: readonly string[]): Generator<string> {
  if (!isObject(given) || !isObject(known)) return;
  for (const [key, value] of Object.entries(given)) {
    if (Object.hasOwn(known, key)) yield* unknownMembers(value, known[key], [...path, key]);
    else yield path.length > 0 ? `${path.join('.')}: Unrecognized key: "${key}"` : `Unrecognized key: "${key}"`;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
