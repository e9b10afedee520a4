import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HumancastError } from './humancast-error.js';

/**
 * A command that may be sent repeatedly under the same key and is executed once (draft-ietf-httpapi-idempotency-key-header).
 */
export interface Command {
  /** 1–128 printable ASCII characters without spaces, chosen by the caller. */
  readonly key: string;
  /** Hash of the request; equal only for equal requests. */
  readonly fingerprint: string;
  /** Time for which the key is remembered, ms. */
  readonly ttlMs: number;
}

const KEY = /^"?([\x21\x23-\x7e]{1,128})"?$/;

/**
 * Reads a request's `Idempotency-Key` header, quoted as in the draft, or bare.
 * @param content Everything that distinguishes the request from others: the operation and the body.
 * @returns `undefined` if the header is missing.
 * @throws HumancastError `bad_request` if it is malformed.
 */
export function commandOf(headers: IncomingHttpHeaders, content: unknown, ttlSeconds: number): Command | undefined {
  const header = headers['idempotency-key'];
  if (header === undefined) return undefined;
  const key = KEY.exec(String(header))?.[1];
  if (key === undefined) {
    throw new HumancastError('bad_request', 'Idempotency-Key: must be 1–128 printable ASCII characters without spaces');
  }
  const fingerprint = createHash('sha256').update(JSON.stringify(content)).digest('base64url');
  return { key, fingerprint, ttlMs: ttlSeconds * 1000 };
}
