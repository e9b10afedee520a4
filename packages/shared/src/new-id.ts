import { randomBytes } from 'node:crypto';
import { type SigningKeys, sign } from './signing.js';

export type IdPrefix = 'ses' | 'seg' | 'vw' | 'snd' | 'sig' | 'ldr' | 'turn';

/** Derives an id from a name; deterministic, but not predictable without the keys. */
export function idOf(prefix: IdPrefix, name: string, keys: SigningKeys): string {
  return `${prefix}_${sign(`${prefix} ${name}`, keys).slice(0, 16)}`;
}

export function newId(prefix: IdPrefix): string {
  return `${prefix}_${randomBytes(12).toString('base64url')}`;
}
