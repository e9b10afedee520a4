import { TokenBucket } from './token-bucket.js';

/** Addresses remembered at once; beyond that, the one seen longest ago starts anew. */
const ADDRESS_LIMIT = 50_000;

/** So many attempts a minute from one address. Each signaling process counts for itself. */
export class AddressLimiter {
  readonly #perMinute: number;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(perMinute: number, nowMs: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#nowMs = nowMs;
  }

  take(address: string): boolean {
    const network = networkOf(address);
    const bucket = this.#buckets.get(network) ?? new TokenBucket(this.#perMinute, this.#perMinute / 60, this.#nowMs);
    const allowed = bucket.take();
    // Re-inserted, so that the map's order is the order of last use.
    this.#buckets.delete(network);
    this.#buckets.set(network, bucket);
    this.#forgetOldest();
    return allowed;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Those that are full again say nothing any more; and never more than the limit are kept. */
  #forgetOldest(): void {
    for (const [network, bucket] of this.#buckets) {
      if (this.#buckets.size <= ADDRESS_LIMIT && !bucket.full) return;
      this.#buckets.delete(network);
    }
  }
}

/** One customer has a whole IPv6 /64 (RFC 6177), so that is what counts as one address. */
function networkOf(address: string): string {
  const ipv4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (ipv4) return ipv4;
  const [head = '', tail] = address.split('::');
  const left = head.split(':');
  const right = tail === undefined ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
