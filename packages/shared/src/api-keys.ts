import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';

const HASH = /^sha256:([0-9a-f]{64})$/i;
/** A key that was taken out of the file is of no use after this. */
const LOOK_AGAIN_MS = 1000;

/**
 * Producers' keys: some that never change, and those of a file, which is read again when it has changed, so that keys come
 * and go without a restart. Each is written as it is, or as `sha256:HEX`, which gives nothing away. A file that can't be
 * read lets nobody in.
 */
export class ApiKeys {
  readonly #fixed: readonly Buffer[];
  readonly #file: string;
  readonly #nowMs: () => number;
  #ofFile: readonly Buffer[] = [];
  #version = '';
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(keys: readonly string[], file = '', nowMs: () => number = () => performance.now()) {
    this.#fixed = keys.map(hashOf);
    this.#file = file;
    this.#nowMs = nowMs;
  }

  /** Takes the same time whichever key it is compared with. */
  has(key: string): boolean {
    this.#look();
    const given = sha256(key);
    let found = false;
    for (const hash of [...this.#fixed, ...this.#ofFile]) found = timingSafeEqual(hash, given) || found;
    return found;
  }

  #look(): void {
    if (this.#file === '' || this.#nowMs() - this.#lookedAtMs < LOOK_AGAIN_MS) return;
    this.#lookedAtMs = this.#nowMs();
    try {
      const { mtimeMs, ino, size } = statSync(this.#file);
      const version = `${mtimeMs} ${ino} ${size}`;
      if (version === this.#version) return;
      this.#ofFile = keysIn(readFileSync(this.#file, 'utf8')).map(hashOf);
      this.#version = version;
    } catch {
      this.#ofFile = [];
      this.#version = '';
    }
  }
}

/** Whether it is a key's hash, and so can't be shown to anybody. */
export function isHashed(key: string): boolean {
  return HASH.test(key);
}

/** The credentials of an `Authorization: Bearer …` header (RFC 6750 §2.1). */
export function bearerOf(header: string | undefined): string | undefined {
  const match = /^Bearer +([^ ]+) *$/i.exec(header ?? '');
  return match?.[1];
}

function keysIn(text: string): string[] {
  return text
    .split('\n')
    .flatMap((line) => line.replace(/#.*/, '').split(/[,\s]+/))
    .filter((key) => key !== '');
}

function hashOf(key: string): Buffer {
  const hex = HASH.exec(key)?.[1];
  return hex === undefined ? sha256(key) : Buffer.from(hex, 'hex');
}

/** Names a key where it must not be shown or kept: the first 64 bits of its hash, as hex. */
export function fingerprint(key: string): string {
  return sha256(key).toString('hex', 0, 8);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
