import type { IncomingMessage } from 'node:http';
import { networkOf, perMinute, RateLimiter, type SignalingConfig, type TrustedProxies } from '@humancast/shared';

/** Whoever asks, as limits count them. */
export interface Counted {
  /** The network that the request comes from. */
  readonly network: string;
  /** The API key that was shown, if any. */
  readonly key: string | undefined;
}

/** The rates that several doors count together. Each signaling process counts for itself. */
export class Limits {
  /** New WebSockets, demo sessions and WHEP requests, by network. */
  readonly connects: RateLimiter;
  readonly #trustProxy: TrustedProxies;

  constructor(config: Pick<SignalingConfig, 'connectsPerMinute' | 'trustProxy'>) {
    this.connects = new RateLimiter(perMinute('CONNECTS_PER_MINUTE', 'connections', config.connectsPerMinute));
    this.#trustProxy = config.trustProxy;
  }

  /** The network that a request comes from, past our own proxies. */
  networkOf(request: Pick<IncomingMessage, 'headers' | 'socket'>): string {
    return networkOf(this.#trustProxy.clientAddress(request));
  }
}
