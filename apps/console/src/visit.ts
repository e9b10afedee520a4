import type { Credentials } from './api.js';

/** The target that the page's address names. */
export type Visit =
  | { kind: 'choose' }
  /** A session of this tab with this avatar: the stored one, or a new one. */
  | { kind: 'avatar'; avatar: string }
  | { kind: 'session'; credentials: Credentials };

export function visitOf(search: string): Visit {
  const query = new URLSearchParams(search);
  const session = query.get('session');
  const token = query.get('token');
  if (session && token) return { kind: 'session', credentials: { id: session, token } };
  const avatar = query.get('avatar');
  return avatar ? { kind: 'avatar', avatar } : { kind: 'choose' };
}

/** The part of `sessionStorage` in use; it belongs to this tab and ends with it. */
export type TabStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** Stores the session that this tab created with each avatar, so that a refresh resumes it instead of leaving it behind. */
export class OwnSessions {
  readonly #storage: TabStorage;

  constructor(storage: TabStorage) {
    this.#storage = storage;
  }

  get(avatar: string): Credentials | undefined {
    try {
      const kept: unknown = JSON.parse(this.#storage.getItem(keyOf(avatar)) ?? 'null');
      return isCredentials(kept) ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  keep(avatar: string, { id, token }: Credentials): void {
    try {
      this.#storage.setItem(keyOf(avatar), JSON.stringify({ id, token }));
    } catch {
      // Storage is disabled or full; a refresh will create a new session.
    }
  }

  forget(avatar: string): void {
    try {
      this.#storage.removeItem(keyOf(avatar));
    } catch {
      // Storage is disabled; nothing is stored.
    }
  }
}

/** Whether an error means that a stored session has ended, so that a new one replaces it. */
export function isOver(code: string): boolean {
  return ['session_not_found', 'session_ended', 'token_expired', 'unauthorized', 'forbidden'].includes(code);
}

/** Whether a token allows control of the avatar. It only affects what is shown; the server decides. */
export function mayControl(token: string): boolean {
  try {
    // A JWT (RFC 7519): header, claims, signature.
    const claims = token.split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/') ?? '';
    return (JSON.parse(atob(claims)) as { scope?: unknown }).scope !== 'view';
  } catch {
    return true;
  }
}

function keyOf(avatar: string): string {
  return `humancast.session.${avatar}`;
}

function isCredentials(value: unknown): value is Credentials {
  if (typeof value !== 'object' || value === null) return false;
  const { id, token } = value as Record<string, unknown>;
  return typeof id === 'string' && typeof token === 'string';
}
