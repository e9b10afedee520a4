import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { slugSchema } from '@humancast/protocol';
import { HumancastError } from './humancast-error.js';

/**
 * Scopes of an API key:
 * - `sessions`: create sessions, and control and end those created by keys of the same name
 * - `media`: upload, push, change and delete segments and avatars
 * - `speak`: push into any session, and delete its own pushes
 * - `operate`: see, interrupt and end every session, see and drain media-senders
 */
export const SCOPES = ['sessions', 'media', 'speak', 'operate'] as const;
export type Scope = (typeof SCOPES)[number];

const HASH = /^sha256:([0-9a-f]{64})$/i;
const NAME = /^[\w.@-]{1,64}$/;
/** Name of keys without one. */
const DEFAULT_NAME = 'default';
/** Time after which a key that was removed from the file is rejected, ms. */
const LOOK_AGAIN_MS = 1000;

/** The caller who presented an API key, and its permissions. */
export class ApiKey {
  /** Name for logs and for ownership of sessions. A key and its successor may have the same name. */
  readonly name: string;
  readonly #scopes: ReadonlySet<Scope>;
  /** Avatars that it may be used for; `undefined` for all. */
  readonly #avatars: ReadonlySet<string> | undefined;

  constructor(name: string, scopes: Iterable<Scope> = SCOPES, avatars?: Iterable<string>) {
    this.name = name;
    this.#scopes = new Set(scopes);
    this.#avatars = avatars && new Set(avatars);
  }

  has(scope: Scope): boolean {
    return this.#scopes.has(scope);
  }

  get allowsAllAvatars(): boolean {
    return this.#avatars === undefined;
  }

  allowsAvatar(avatar: string): boolean {
    return this.#avatars?.has(avatar) ?? true;
  }

  /** @throws HumancastError `forbidden` with the missing `scope`, unless the key has one of these. */
  require(scope: Scope, ...others: Scope[]): void {
    const scopes = [scope, ...others];
    if (scopes.some((one) => this.#scopes.has(one))) return;
    const detail = `the API key "${this.name}" lacks the scope ${scopes.join(' or ')}`;
    throw new HumancastError('forbidden', { detail, extra: { scope } });
  }

  /** @throws HumancastError `forbidden` with the `avatar`, unless the key may be used for it. */
  requireAvatar(avatar: string): void {
    if (this.allowsAvatar(avatar)) return;
    const shown = avatar.slice(0, 64);
    const detail = `the API key "${this.name}" is not allowed the avatar "${shown}"`;
    throw new HumancastError('forbidden', { detail, extra: { avatar: shown } });
  }
}

interface StoredKey {
  readonly hash: Buffer;
  readonly key: ApiKey;
}

export interface ApiKeysOptions {
  /** Monotonic clock, ms. */
  nowMs?: () => number;
  /** Called for each invalid line, which admits nobody, without the line itself. */
  onProblem?: (problem: string) => void;
}

/**
 * API keys of producers: fixed ones with all scopes, and those of a file, which is reloaded when it changes, so that keys
 * can be added and removed without a restart. While the file can't be read, its keys are rejected.
 *
 * A line of the file is `[NAME:]KEY [SCOPES] [AVATARS]`: KEY in plain text or as `sha256:HEX`, which does not reveal the
 * key; SCOPES and AVATARS separated by commas, or `*` (the default) for all. `#` starts a comment.
 */
export class ApiKeys {
  readonly #fixed: readonly StoredKey[];
  readonly #file: string;
  readonly #nowMs: () => number;
  readonly #onProblem: (problem: string) => void;
  #ofFile: readonly StoredKey[] = [];
  #version = '';
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(keys: readonly string[], file = '', { nowMs, onProblem }: ApiKeysOptions = {}) {
    this.#fixed = keys.map((key) => ({ hash: hashOf(key), key: new ApiKey(DEFAULT_NAME) }));
    this.#file = file;
    this.#nowMs = nowMs ?? (() => performance.now());
    this.#onProblem = onProblem ?? (() => {});
  }

  /** Compares in constant time. @returns `undefined` for an unknown key. */
  find(text: string): ApiKey | undefined {
    this.#poll();
    const given = sha256(text);
    let found: ApiKey | undefined;
    for (const { hash, key } of [...this.#fixed, ...this.#ofFile]) {
      if (timingSafeEqual(hash, given)) found ??= key;
    }
    return found;
  }

  /** @returns The {@link fingerprint} of a request's key; `undefined` unless it is valid. */
  fingerprintOf(authorization: string | undefined): string | undefined {
    const text = bearerOf(authorization);
    return text !== undefined && this.find(text) ? fingerprint(text) : undefined;
  }

  #poll(): void {
    if (this.#file === '' || this.#nowMs() - this.#lookedAtMs < LOOK_AGAIN_MS) return;
    this.#lookedAtMs = this.#nowMs();
    try {
      const { mtimeMs, ino, size } = statSync(this.#file);
      const version = `${mtimeMs} ${ino} ${size}`;
      if (version === this.#version) return;
      this.#ofFile = keysIn(readFileSync(this.#file, 'utf8'), this.#onProblem);
      this.#version = version;
    } catch {
      this.#ofFile = [];
      this.#version = '';
    }
  }
}

/** Whether the text is a key's hash, which is not accepted as a key. */
export function isHashed(key: string): boolean {
  return HASH.test(key);
}

/** @returns The credentials of an `Authorization: Bearer …` header (RFC 6750 §2.1). */
export function bearerOf(header: string | undefined): string | undefined {
  const match = /^Bearer +([^ ]+) *$/i.exec(header ?? '');
  return match?.[1];
}

function keysIn(text: string, onProblem: (problem: string) => void): StoredKey[] {
  return text.split('\n').flatMap((line, i) => {
    const fields = line
      .replace(/#.*/, '')
      .split(/\s+/)
      .filter((field) => field !== '');
    if (fields.length === 0) return [];
    const key = keyOf(fields);
    if (typeof key !== 'string') return [key];
    onProblem(`line ${i + 1} of the API keys is ignored: ${key}`);
    return [];
  });
}

/** @returns The key, or what is wrong with it. */
function keyOf([credential = '', scopes = '*', avatars = '*', ...rest]: readonly string[]): StoredKey | string {
  if (rest.length > 0) return 'more than a key, scopes and avatars';
  const named = HASH.test(credential) ? null : /^([^:]*):(.+)$/.exec(credential);
  const [, name = DEFAULT_NAME, secret = credential] = named ?? [];
  if (!NAME.test(name) || name === 'sha256')
    return 'a name has 1 to 64 letters, digits and any of _.@-, and a hash 64 hex digits';
  if (secret.startsWith('sha256:') && !HASH.test(secret)) return 'a hash has 64 hex digits';
  const scopeList = listOf(scopes);
  const unknown = scopeList?.filter((scope) => !isScope(scope)) ?? [];
  if (unknown.length > 0) return `scopes are ${SCOPES.join(', ')}`;
  const avatarList = listOf(avatars);
  if (avatarList?.some(isScope)) return 'scopes are separated by commas, without spaces';
  if (avatarList?.some((avatar) => !slugSchema.safeParse(avatar).success))
    return 'avatars are ids, separated by commas';
  return { hash: hashOf(secret), key: new ApiKey(name, scopeList?.filter(isScope), avatarList) };
}

/** @returns `undefined` for all. */
function listOf(text: string): string[] | undefined {
  return text === '*' ? undefined : text.split(',');
}

function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

function hashOf(key: string): Buffer {
  const hex = HASH.exec(key)?.[1];
  return hex === undefined ? sha256(key) : Buffer.from(hex, 'hex');
}

/** @returns A name for a key where the key must not be shown or stored: the first 64 bits of its hash, as hex. */
function fingerprint(key: string): string {
  return sha256(key).toString('hex', 0, 8);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
