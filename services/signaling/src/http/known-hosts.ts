import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { HumancastError, isLoopback, type SignalingConfig } from '@humancast/shared';

/**
 * Prevents DNS rebinding in demo mode, which relies on being reachable from this machine only. A foreign page's name can
 * resolve to 127.0.0.1, which makes the page same-origin; its `Host` header reveals it. IP addresses, and names without a
 * dot as containers use, cannot belong to such a page.
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
}
