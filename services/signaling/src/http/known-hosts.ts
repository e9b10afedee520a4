import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { HumancastError, isLoopback, type SignalingConfig } from '@humancast/shared';

/**
 * Which names a service answers to that relies on being reachable from this machine only. A web page elsewhere can have its
 * own name resolve to 127.0.0.1 (DNS rebinding), and would be of one origin with us; the `Host` header gives it away. Addresses,
 * and names without a dot, as containers have for each other, can't be had by such a page.
 */
export class KnownHosts {
  readonly #checks: boolean;
  readonly #known: ReadonlySet<string>;

  constructor(
    config: Pick<SignalingConfig, 'publicDemo' | 'publicDemoPublished' | 'publishAddress' | 'allowedOrigins'>,
  ) {
    this.#checks = config.publicDemo && !config.publicDemoPublished;
    const origins = config.allowedOrigins.flatMap((origin) => (URL.canParse(origin) ? [new URL(origin).hostname] : []));
    this.#known = new Set([...origins, config.publishAddress].map((host) => host.toLowerCase()));
  }

  /** @throws HumancastError `unknown_host`. */
  require({ headers }: Pick<IncomingMessage, 'headers'>): void {
    if (!this.#checks || headers.host === undefined) return;
    const name = headers.host.replace(/:\d*$/, '').toLowerCase();
    if (!name.includes('.') || this.#known.has(name) || isLoopback(name)) return;
    if (name.endsWith('.localhost') || isIP(name) !== 0) return;
    throw new HumancastError(
      'unknown_host',
      'in demo mode only this machine’s own names are answered; if this is your name for it, set PUBLIC_DEMO=false, or PUBLIC_DEMO_PUBLISHED=true',
    );
  }

  /** The same for Express. */
  readonly middleware = (
    request: IncomingMessage,
    _response: ServerResponse,
    next: (error?: unknown) => void,
  ): void => {
    try {
      this.require(request);
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}
