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
  /** Showed an API key. */
  | { readonly kind: 'producer'; readonly key: ApiKey }
  /** Showed a session's token. */
  | { readonly kind: 'guest'; readonly claims: TokenClaims }
  /** Showed nothing. */
  | { readonly kind: 'visitor' };

/** What can be done with a session. */
export type SessionAction = keyof typeof RULES;

interface Rule {
  /** The least scope of the session's token that allows it. */
  readonly token: TokenClaims['scope'];
  /** Scopes, all of which a key needs to do it in sessions that others have made; any of these sets is enough. */
  readonly inAny: readonly (readonly Scope[])[];
}

/** In a session of its own, a key needs the scope `sessions` for all of this. */
const RULES = {
  /** See its state, events and segments, and watch it. */
  read: { token: 'view', inAny: [['operate'], ['speak']] },
  interrupt: { token: 'view', inAny: [['operate'], ['speak']] },
  speak: { token: 'control', inAny: [['speak'], ['operate', 'sessions']] },
  end: { token: 'control', inAny: [['operate']] },
} as const satisfies Record<string, Rule>;

/** The trace that a producer's request is a part of. Others don't choose what is recorded here. */
export function callersTrace(caller: Caller, { traceparent }: IncomingHttpHeaders): string | undefined {
  return caller.kind === 'producer' ? traceparentOf(traceparent) : undefined;
}

/**
 * The name of the API key that was shown: whom a session belongs to, and who did it in the log.
 * @returns `undefined` for callers that showed no API key.
 */
export function keyOf(caller: Caller): string | undefined {
  return caller.kind === 'producer' ? caller.key.name : undefined;
}

/** Who may do what. */
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
   * Who is asking, from the `Authorization` header, or else from a token in the URL.
   * @throws HumancastError `unauthorized` or `token_expired` for credentials that are not valid; showing none is no error.
   */
  async callerOf(authorization: string | undefined, urlToken?: string): Promise<Caller> {
    const credentials = authorization === undefined ? urlToken : bearerOf(authorization);
    if (credentials === undefined) {
      if (authorization !== undefined) throw new HumancastError('unauthorized', 'the scheme must be Bearer');
      return { kind: 'visitor' };
    }
    // An API key in a URL would end up in logs: it is taken from the header only.
    const key = authorization === undefined ? undefined : this.#keys.find(credentials);
    if (key) return { kind: 'producer', key };
    return { kind: 'guest', claims: await verifyToken(credentials, this.#tokenSecret, Date.now()) };
  }

  /**
   * @param scopes one of which the key must have; none: any key will do.
   * @throws HumancastError `unauthorized` or `forbidden` unless such an API key was shown.
   */
  requireKey(caller: Caller, ...scopes: Scope[]): ApiKey {
    if (caller.kind === 'visitor') throw new HumancastError('unauthorized', 'this needs an API key');
    if (caller.kind === 'guest') throw new HumancastError('forbidden', 'this needs an API key, not a session token');
    const [first, ...others] = scopes;
    if (first !== undefined) caller.key.require(first, ...others);
    return caller.key;
  }

  /**
   * A key with this scope, or anyone without a key where public demos are allowed.
   * @throws HumancastError `unauthorized` or `forbidden` for others.
   */
  requireKeyOrDemo(caller: Caller, ...scopes: Scope[]): void {
    if (caller.kind === 'producer' || !this.#publicDemo) this.requireKey(caller, ...scopes);
  }

  /**
   * A key to which the session belongs or whose scopes reach further, or a token of this very session.
   * @throws HumancastError `unauthorized`, `forbidden`, or `session_not_found`, also for a session that is another key's.
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
