import { HumancastError } from '../humancast-error.js';
import { TokenBucket } from './token-bucket.js';

/**
 * Keys remembered at once, about 10 MB; beyond that, the least recently used one is forgotten, so that its bucket is full
 * again.
 */
const KEY_LIMIT = 50_000;

export interface RateLimit {
  /** The setting that raises the limit; part of the error. */
  readonly setting: string;
  /** The counted things, as the error names them: "requests". */
  readonly what: string;
  readonly perSecond: number;
  /** Burst size. */
  readonly burst: number;
}

/**
 * Limits a rate per key: an address, an API key or a session. Each process counts for itself, so a flood causes no load on
 * Redis.
 */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  /** @param nowMs A monotonic clock, in milliseconds. */
  constructor(limit: RateLimit, nowMs: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#nowMs = nowMs;
  }

  /** Counts one request. @throws HumancastError `rate_limited`, with the setting's name as `limit`. */
  require(key: string): void {
    const { setting, what, perSecond, burst } = this.#limit;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(burst, perSecond, this.#nowMs);
    const allowed = bucket.take();
    // Re-inserted, so that the map's order is the order of last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    this.#forget();
    if (allowed) return;
    throw new HumancastError('rate_limited', {
      detail: `too many ${what}; the limit is ${setting}`,
      retryAfterSeconds: Math.max(1, Math.ceil(bucket.waitMs / 1000)),
      extra: { limit: setting },
    });
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Forgets keys whose bucket is full again, and the least recently used ones beyond the limit. */
  #forget(): void {
    for (const [key, bucket] of this.#buckets) {
      if (this.#buckets.size <= KEY_LIMIT && !bucket.full) return;
      this.#buckets.delete(key);
    }
  }
}

/** @returns A limit of `perMinute` a minute, all of which may come at once. */
export function perMinute(setting: string, what: string, perMinute: number): RateLimit {
  return { setting, what, perSecond: perMinute / 60, burst: perMinute };
}

/** @returns A limit of `perSecond` a second, averaged over ten seconds. */
export function perSecond(setting: string, what: string, perSecond: number): RateLimit {
  return { setting, what, perSecond, burst: perSecond * 10 };
}
