import type { Credentials } from './api.js';

/** What the page's address asks for. */
export type Visit =
  | { kind: 'choose' }
  /** A session of one's own with this avatar: the one made before, or a new one. */
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

/** The part of `sessionStorage` that is used: of this tab alone, and gone with it. */
export type TabStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

/** The session made in this tab with each avatar, so that a refresh returns to it instead of leaving a ghost behind. */
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
      // Storage is switched off or full: a refresh will make a new session.
    }
  }

  forget(avatar: string): void {
    try {
      this.#storage.removeItem(keyOf(avatar));
    } catch {
      // As above: then there is nothing to forget.
    }
  }
}

/** A kept session that is refused with one of these is over; a new one takes its place. */
export function isOver(code: string): boolean {
  return ['session_not_found', 'session_ended', 'token_expired', 'unauthorized', 'forbidden'].includes(code);
}

/** Whether a token lets its holder make the avatar speak; a guess for the page's looks, the server decides. */
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
