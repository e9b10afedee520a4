import type { IncomingMessage } from 'node:http';
import type { TrustedProxies } from '@humancast/shared';

/** Determines which web pages may use this service from a browser. Other callers send no Origin and are allowed. */
export class Origins {
  readonly #allowed: ReadonlySet<string>;
  readonly #all: boolean;
  readonly #trustProxy: TrustedProxies;

  constructor({ allowedOrigins, trustProxy }: { allowedOrigins: readonly string[]; trustProxy: TrustedProxies }) {
    this.#allowed = new Set(allowedOrigins.map((origin) => origin.replace(/\/$/, '').toLowerCase()));
    this.#all = this.#allowed.has('*');
    this.#trustProxy = trustProxy;
  }

  allows(request: IncomingMessage): boolean {
    const origin = request.headers.origin;
    if (origin === undefined || this.#all || this.#allowed.has(origin.toLowerCase())) return true;
    return URL.canParse(origin) && new URL(origin).host === this.#ownHost(request);
  }

  #ownHost(request: IncomingMessage): string | undefined {
    const fromProxy = this.#trustProxy.trusts(request.socket.remoteAddress ?? '');
    const forwarded = fromProxy ? request.headers['x-forwarded-host'] : undefined;
    const host = (Array.isArray(forwarded) ? forwarded[0] : forwarded) ?? request.headers.host;
    return host?.toLowerCase();
  }
}
