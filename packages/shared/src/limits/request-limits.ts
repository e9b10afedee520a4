import type { IncomingMessage, ServerResponse } from 'node:http';
import { networkOf } from './network.js';
import { perMinute, perSecond, RateLimiter } from './rate-limiter.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** A caller, as limits count it. */
export interface Counted {
  /** The network of the request's origin, behind the trusted proxies. */
  readonly network: string;
  /** Fingerprint of the API key, if one was presented. */
  readonly key: string | undefined;
}

export interface RequestLimitsOptions {
  readonly trustProxy: TrustedProxies;
  readonly addressRequestsPerMinute: number;
  readonly keyRequestsPerSecond: number;
}

/**
 * Limits the rate of requests: by API key if a valid one is presented, so that one backend may do the work of many;
 * otherwise by address. Requests with an invalid key count for the address, so that guessing is limited, too.
 */
export class RequestLimits {
  readonly #trustProxy: TrustedProxies;
  readonly #keyOf: (request: IncomingMessage) => string | undefined;
  readonly #perNetwork: RateLimiter;
  readonly #perKey: RateLimiter;

  /** @param keyOf Returns the fingerprint of a request's API key, if it has a valid one. */
  constructor(options: RequestLimitsOptions, keyOf: (request: IncomingMessage) => string | undefined) {
    this.#trustProxy = options.trustProxy;
    this.#keyOf = keyOf;
    this.#perNetwork = new RateLimiter(
      perMinute('ADDRESS_REQUESTS_PER_MINUTE', 'requests', options.addressRequestsPerMinute),
    );
    this.#perKey = new RateLimiter(perSecond('KEY_REQUESTS_PER_SECOND', 'requests', options.keyRequestsPerSecond));
  }

  /** @returns The caller that a request is counted for. */
  counted(request: IncomingMessage): Counted {
    return { network: networkOf(this.#trustProxy.clientAddress(request)), key: this.#keyOf(request) };
  }

  /** Counts a request. @throws HumancastError `rate_limited`. */
  require(request: IncomingMessage): void {
    const { key, network } = this.counted(request);
    if (key === undefined) this.#perNetwork.require(network);
    else this.#perKey.require(key);
  }
}

/**
 * @returns Express middleware that passes on requests which the check does not reject.
 * @param check.require Throws to reject.
 */
export function middlewareOf(check: { require(request: IncomingMessage): void }) {
  return (request: IncomingMessage, _response: ServerResponse, next: (error?: unknown) => void): void => {
    try {
      check.require(request);
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}
