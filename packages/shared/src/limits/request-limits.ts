import type { IncomingMessage, ServerResponse } from 'node:http';
import { networkOf } from './network.js';
import { perMinute, perSecond, RateLimiter } from './rate-limiter.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** Whoever asks, as limits count them. */
export interface Counted {
  /** The network that the request comes from, past our own proxies. */
  readonly network: string;
  /** Names the API key that was shown, if any. */
  readonly key: string | undefined;
}

export interface RequestLimitsOptions {
  readonly trustProxy: TrustedProxies;
  readonly addressRequestsPerMinute: number;
  readonly keyRequestsPerSecond: number;
}

/**
 * Limits the rate of requests: of whoever shows a valid API key by that key, so that one backend may do the work of many, of
 * everybody else by address. What is shown and not valid counts for the address, so that guessing is limited, too.
 */
export class RequestLimits {
  readonly #trustProxy: TrustedProxies;
  readonly #keyOf: (request: IncomingMessage) => string | undefined;
  readonly #perNetwork: RateLimiter;
  readonly #perKey: RateLimiter;

  /** @param keyOf names the API key of a request, if it shows a valid one. */
  constructor(options: RequestLimitsOptions, keyOf: (request: IncomingMessage) => string | undefined) {
    this.#trustProxy = options.trustProxy;
    this.#keyOf = keyOf;
    this.#perNetwork = new RateLimiter(
      perMinute('ADDRESS_REQUESTS_PER_MINUTE', 'requests', options.addressRequestsPerMinute),
    );
    this.#perKey = new RateLimiter(perSecond('KEY_REQUESTS_PER_SECOND', 'requests', options.keyRequestsPerSecond));
  }

  /** @returns who a request is counted as. */
  counted(request: IncomingMessage): Counted {
    return { network: networkOf(this.#trustProxy.clientAddress(request)), key: this.#keyOf(request) };
  }

  /** Counts a request. @throws HumancastError `rate_limited`. */
  require(request: IncomingMessage): void {
    const { key, network } = this.counted(request);
    if (key === undefined) this.#perNetwork.require(network);
    else this.#perKey.require(key);
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
