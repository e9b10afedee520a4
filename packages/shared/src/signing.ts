import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Keys that sign: the first is used, all of them are believed. A key is changed by putting the new one in front, and taking
 * the old one away once nothing that it signed is valid any more.
 */
export type SigningKeys = readonly [string, ...string[]];

/** HMAC-SHA-256 (RFC 2104), base64url. */
export function sign(text: string, [current]: SigningKeys): string {
  return mac(text, current).toString('base64url');
}

/** Compares texts, not what they decode to: exactly one text is a signature. Takes the same time whatever was given. */
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
