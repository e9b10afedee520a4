import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Signing keys: the first signs, all verify. To rotate, put the new key first, and remove the old one once nothing that it
 * signed is valid any more.
 */
export type SigningKeys = readonly [string, ...string[]];

/** @returns The HMAC-SHA-256 (RFC 2104) by the first key, base64url. */
export function sign(text: string, [current]: SigningKeys): string {
  return mac(text, current).toString('base64url');
}

/** Compares text, not decoded bytes, so that exactly one text is a valid signature. Runs in constant time. */
export function isSigned(text: string, signature: string, keys: SigningKeys): boolean {
  const given = Buffer.from(signature);
  let found = false;
  for (const key of keys) {
    const expected = Buffer.from(mac(text, key).toString('base64url'));
    found = (given.length === expected.length && timingSafeEqual(given, expected)) || found;
  }
  return found;
}

function mac(text: string, key: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
