import { createHash, timingSafeEqual } from 'node:crypto';

/** Whether a producer's key is one of the configured ones; takes the same time whichever it is compared with. */
export class ApiKeys {
  readonly #hashes: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#hashes = keys.map(sha256);
  }

  has(key: string): boolean {
    const given = sha256(key);
    let found = false;
    for (const hash of this.#hashes) found = timingSafeEqual(hash, given) || found;
    return found;
  }
}

/** The credentials of an `Authorization: Bearer …` header (RFC 6750 §2.1). */
export function bearerOf(header: string | undefined): string | undefined {
  const match = /^Bearer +([^ ]+) *$/i.exec(header ?? '');
  return match?.[1];
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
