import type { IncomingHttpHeaders } from 'node:http';
import {
  type ApiKey,
  type ApiKeys,
  bearerOf,
  HumancastError,
  type Scope,
  type SessionBelonging,
  type SessionRegistry,
  type SigningKeys,
  type TokenClaims,
  traceparentOf,
  verifyToken,
} from '@humancast/shared';

export type Caller =
  /** A caller with an API key. */
  | { readonly kind: 'producer'; readonly key: ApiKey }
  /** A caller with a session's token. */
  | { readonly kind: 'guest'; readonly claims: TokenClaims }
  /** A caller without credentials. */
  | { readonly kind: 'visitor' };

/** Actions on a session that require permission. */
export type SessionAction = keyof typeof RULES;

interface Rule {
  /** Required scope of the session's token. */
  readonly token: TokenClaims['scope'];
  /** Sets of scopes, any of which permits the action in sessions of other keys. */
  readonly inAny: readonly (readonly Scope[])[];
}

/** Permissions by action. In its own sessions, a key needs only the scope `sessions`. */
const RULES = {
  /** Reading state, events and segments, and watching. */
  read: { token: 'view', inAny: [['operate'], ['speak']] },
  interrupt: { token: 'view', inAny: [['operate'], ['speak']] },
  speak: { token: 'control', inAny: [['speak'], ['operate', 'sessions']] },
  /** Hearing the viewers that may speak; never by a token. */
  listen: { token: 'control', inAny: [['speak']] },
  end: { token: 'control', inAny: [['operate']] },
} as const satisfies Record<string, Rule>;

/** @returns The trace context of a producer's request. Other callers cannot choose what is recorded. */
export function callersTrace(caller: Caller, { traceparent }: IncomingHttpHeaders): string | undefined {
  return caller.kind === 'producer' ? traceparentOf(traceparent) : undefined;
}

/**
 * @returns The name of the caller's API key, which owns the sessions it creates and appears in the log; `undefined` without
 * one.
 */
export function keyOf(caller: Caller): string | undefined {
  return caller.kind === 'producer' ? caller.key.name : undefined;
}

/** Authenticates callers and checks their permissions. */
export class Access {
  readonly #keys: ApiKeys;
  readonly #registry: Pick<SessionRegistry, 'belonging'>;
  readonly #tokenSecret: SigningKeys;
  readonly #publicDemo: boolean;

  constructor(
    options: { tokenSecret: SigningKeys; publicDemo: boolean },
    parts: { keys: ApiKeys; registry: Pick<SessionRegistry, 'belonging'> },
  ) {
    this.#keys = parts.keys;
    this.#registry = parts.registry;
    this.#tokenSecret = options.tokenSecret;
    this.#publicDemo = options.publicDemo;
  }

  /**
   * Identifies the caller from the `Authorization` header, or else from a token in the URL.
   * @throws HumancastError `unauthorized`, `token_expired` for invalid credentials; missing ones are no error.
   */
  async callerOf(authorization: string | undefined, urlToken?: string): Promise<Caller> {
    const credentials = authorization === undefined ? urlToken : bearerOf(authorization);
    if (credentials === undefined) {
      if (authorization !== undefined) throw new HumancastError('unauthorized', 'the scheme must be Bearer');
      return { kind: 'visitor' };
    }
    // API keys are accepted in the header only: in a URL they would end up in logs.
    const key = authorization === undefined ? undefined : this.#keys.find(credentials);
    if (key) return { kind: 'producer', key };
    return { kind: 'guest', claims: await verifyToken(credentials, this.#tokenSecret, Date.now()) };
  }

  /**
   * Requires an API key.
   * @param scopes Scopes of which the key must have one; if empty, any key is accepted.
   * @throws HumancastError `unauthorized`, `forbidden`.
   */
  requireKey(caller: Caller, ...scopes: Scope[]): ApiKey {
    if (caller.kind === 'visitor') throw new HumancastError('unauthorized', 'this needs an API key');
    if (caller.kind === 'guest') throw new HumancastError('forbidden', 'this needs an API key, not a session token');
    const [first, ...others] = scopes;
    if (first !== undefined) caller.key.require(first, ...others);
    return caller.key;
  }

  /**
   * Requires a key with one of these scopes; with public demos, callers without a key are admitted, too.
   * @throws HumancastError `unauthorized`, `forbidden`.
   */
  requireKeyOrDemo(caller: Caller, ...scopes: Scope[]): void {
    if (caller.kind === 'producer' || !this.#publicDemo) this.requireKey(caller, ...scopes);
  }

  /**
   * Requires a key that owns the session or has wider scopes, or a token of this session.
   * @throws HumancastError `unauthorized`, `forbidden`, or `session_not_found`, also for another key's session.
   */
  async requireSession(caller: Caller, session: string, action: SessionAction): Promise<void> {
    if (caller.kind === 'visitor') {
      throw new HumancastError('unauthorized', 'this needs an API key or the token of the session');
    }
    if (caller.kind === 'guest') requireClaims(caller.claims, session, RULES[action].token);
    else requireRights(caller.key, await this.#registry.belonging(session), action);
  }
}

function requireClaims(claims: TokenClaims, session: string, scope: TokenClaims['scope']): void {
  if (claims.sid !== session) throw new HumancastError('forbidden', 'the token is of another session');
  if (scope === 'control' && claims.scope !== 'control') {
    const detail = 'this token allows to watch and to interrupt, nothing else';
    throw new HumancastError('forbidden', { detail, extra: { scope } });
  }
}

function requireRights(key: ApiKey, session: SessionBelonging, action: SessionAction): void {
  const inAny = RULES[action].inAny.some((scopes) => scopes.every((scope) => key.has(scope)));
  if (!inAny) {
    key.require('sessions');
    if (session.owner !== key.name) {
      throw new HumancastError('session_not_found', `no session of the API key "${key.name}" has the id ${session.id}`);
    }
  }
  key.requireAvatar(session.avatar);
}
