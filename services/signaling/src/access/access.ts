import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import {
  ApiKeys,
  bearerOf,
  fingerprint,
  HumancastError,
  type SigningKeys,
  type TokenClaims,
  traceparentOf,
  verifyToken,
} from '@humancast/shared';

export type Caller =
  /** Showed an API key. */
  | { readonly kind: 'producer' }
  /** Showed a session's token. */
  | { readonly kind: 'guest'; readonly claims: TokenClaims }
  /** Showed nothing. */
  | { readonly kind: 'visitor' };

/** The trace that a producer's request is a part of. Others don't choose what is recorded here. */
export function callersTrace(caller: Caller, { traceparent }: IncomingHttpHeaders): string | undefined {
  return caller.kind === 'producer' ? traceparentOf(traceparent) : undefined;
}

/** Who may do what. */
export class Access {
  readonly #keys: ApiKeys;
  readonly #tokenSecret: SigningKeys;
  readonly #publicDemo: boolean;

  constructor(options: {
    apiKeys: readonly string[];
    apiKeyFile: string;
    tokenSecret: SigningKeys;
    publicDemo: boolean;
  }) {
    this.#keys = new ApiKeys(options.apiKeys, options.apiKeyFile);
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
    if (authorization !== undefined && this.#keys.has(credentials)) return { kind: 'producer' };
    return { kind: 'guest', claims: await verifyToken(credentials, this.#tokenSecret, Date.now()) };
  }

  /** @returns what names the API key that a request shows, if it shows a valid one. */
  keyOf({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
    const key = bearerOf(headers.authorization);
    return key !== undefined && this.#keys.has(key) ? fingerprint(key) : undefined;
  }

  /** @throws HumancastError unless an API key was shown. */
  requireProducer(caller: Caller): void {
    if (caller.kind === 'visitor') throw new HumancastError('unauthorized', 'this needs an API key');
    if (caller.kind === 'guest') throw new HumancastError('forbidden', 'this needs an API key, not a session token');
  }

  /** A producer, or anyone where public demos are allowed. @throws HumancastError for others. */
  requireProducerOrDemo(caller: Caller): void {
    if (!this.#publicDemo) this.requireProducer(caller);
  }

  /** A producer, or a guest of this very session. `control` is what only its owner may do: speak, end. */
  requireSession(caller: Caller, session: string, scope: TokenClaims['scope']): void {
    if (caller.kind === 'producer') return;
    if (caller.kind === 'visitor') {
      throw new HumancastError('unauthorized', 'this needs an API key or the token of the session');
    }
    if (caller.claims.sid !== session) throw new HumancastError('forbidden', 'the token is of another session');
    if (scope === 'control' && caller.claims.scope !== 'control') {
      throw new HumancastError('forbidden', 'this token allows to watch and to interrupt, nothing else');
    }
  }
}
