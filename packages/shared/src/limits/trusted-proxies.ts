import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** Maximum number of counted reverse proxies; more are a mistake. */
const HOP_LIMIT = 10;
/** Maximum number of X-Forwarded-For entries that are read. */
const ENTRY_LIMIT = 32;

/** Names for ranges, as in the `proxy-addr` package. */
const RANGES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/**
 * The reverse proxies whose X-Forwarded-For is trusted: none, a number of them in a row, or those with certain addresses.
 * Entries before the one that the outermost of them added may be made up by the caller.
 */
export class TrustedProxies {
  static readonly none = new TrustedProxies(0, undefined);

  readonly #hops: number;
  readonly #addresses: BlockList | undefined;

  private constructor(hops: number, addresses: BlockList | undefined) {
    this.#hops = hops;
    this.#addresses = addresses;
  }

  /**
   * Reads `false`, `true` (one proxy), a number of proxies, or a list of addresses, CIDR ranges, and `loopback`,
   * `linklocal`, `uniquelocal`.
   * @returns `undefined` if it is none of these.
   */
  static parse(text: string): TrustedProxies | undefined {
    if (text === 'false') return TrustedProxies.none;
    const hops = text === 'true' ? 1 : Number(/^\d{1,2}$/.exec(text)?.[0] ?? Number.NaN);
    if (!Number.isNaN(hops)) return hops <= HOP_LIMIT ? new TrustedProxies(hops, undefined) : undefined;
    const list = new BlockList();
    const parts = text.split(',').map((part) => part.trim());
    const known = parts.flatMap((part) => RANGES[part] ?? [part]).every((range) => addRange(list, range));
    return known ? new TrustedProxies(0, list) : undefined;
  }

  /** Whether any proxy is trusted. */
  get any(): boolean {
    return this.#hops > 0 || this.#addresses !== undefined;
  }

  /** Whether a peer with this address is a trusted proxy. If proxies are only counted, every peer is. */
  trusts(address: string): boolean {
    if (!this.#addresses) return this.#hops > 0;
    const version = isIP(address);
    return version !== 0 && this.#addresses.check(address, version === 6 ? 'ipv6' : 'ipv4');
  }

  /** @returns The address of the caller, as seen by the outermost trusted proxy. */
  clientAddress(request: Pick<IncomingMessage, 'headers' | 'socket'>): string {
    const peer = request.socket.remoteAddress ?? 'unknown';
    if (!this.any) return peer;
    const entries = forwardedFor(request.headers['x-forwarded-for']);
    let address = peer;
    for (let hop = 0; this.#addresses ? this.trusts(address) : hop < this.#hops; hop++) {
      const entry = entries.pop();
      // A trusted proxy passed on something that is no address, so the proxy itself is the last known one.
      if (entry === undefined || isIP(entry) === 0) break;
      address = entry;
    }
    return address;
  }
}

/** @returns The last addresses of X-Forwarded-For, without the ports that some proxies add. */
function forwardedFor(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .slice(-ENTRY_LIMIT)
    .map((entry) => entry.trim())
    .map((entry) => /^\[([^\]]+)\](?::\d+)?$/.exec(entry)?.[1] ?? /^([\d.]+):\d+$/.exec(entry)?.[1] ?? entry);
}

function addRange(list: BlockList, range: string): boolean {
  const [address = '', prefix, ...rest] = range.split('/');
  const version = isIP(address);
  const bits = version === 6 ? 128 : 32;
  const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (version === 0 || rest.length > 0 || !(length >= 0 && length <= bits)) return false;
  list.addSubnet(address, length, version === 6 ? 'ipv6' : 'ipv4');
  return true;
}
