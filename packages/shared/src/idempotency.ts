import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HumancastError } from './humancast-error.js';

/** A command that may be sent again under the same key, and is done once (draft-ietf-httpapi-idempotency-key-header). */
export interface Command {
  /** 1–128 printable ASCII characters without spaces, as the caller chose them. */
  readonly key: string;
  /** Equal for equal requests only. */
  readonly fingerprint: string;
  /** Milliseconds for which the key is remembered. */
  readonly ttlMs: number;
}

const KEY = /^"?([\x21\x23-\x7e]{1,128})"?$/;

/**
 * The command that a request's `Idempotency-Key` makes of it; the header may be quoted, as the draft has it, or bare.
 * @param content all that makes one request another one: what is asked, and the body.
 * @returns `undefined` when the header is missing.
 * @throws HumancastError `bad_request` when it is of another form.
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
