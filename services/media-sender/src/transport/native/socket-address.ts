import { isIPv6 } from 'node:net';
import type { NativeLibrary, NativeMemory } from './library.js';

export const AF_INET = 2;
const AF_INET6 = 10;
/** `struct sockaddr_in` has 16 bytes, `sockaddr_in6` 28; padded to whole words. */
export const SOCKET_ADDRESS_BYTES = 32;
const IPV4_BYTES = 16;
const IPV6_BYTES = 28;
/** Room for a literal address and its terminating byte. */
const TEXT_BYTES = 64;
const [PORT_AT, IPV4_AT, IPV6_AT] = [2, 4, 8];

/** A `struct sockaddr_in` or `sockaddr_in6`. */
export interface SocketAddress {
  readonly family: typeof AF_INET | typeof AF_INET6;
  /** {@link SOCKET_ADDRESS_BYTES} long. */
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly words: Uint32Array;
  /** Size of the structure in bytes. */
  readonly length: number;
}

/** Converts literal IP addresses to socket addresses. */
export class SocketAddresses {
  readonly #library: NativeLibrary;
  readonly #memory: NativeMemory;

  constructor(library: NativeLibrary) {
    this.#library = library;
    this.#memory = library.allocate(SOCKET_ADDRESS_BYTES + TEXT_BYTES);
  }

  /** @returns `undefined` for unsupported addresses, such as a link-local one with its zone. */
  of(address: string, port: number): SocketAddress | undefined {
    const { bytes, address: at } = this.#memory;
    if (address.length >= TEXT_BYTES) return undefined;
    const isV6 = isIPv6(address);
    const family = isV6 ? AF_INET6 : AF_INET;
    bytes.fill(0);
    bytes.write(address, SOCKET_ADDRESS_BYTES, 'latin1');
    bytes.writeUInt16LE(family, 0);
    bytes.writeUInt16BE(port, PORT_AT);
    const target = at + BigInt(isV6 ? IPV6_AT : IPV4_AT);
    if (this.#library.call.inet_pton(BigInt(family), at + BigInt(SOCKET_ADDRESS_BYTES), target) !== 1) return undefined;
    const copy = Uint8Array.from(bytes.subarray(0, SOCKET_ADDRESS_BYTES));
    const words = new Uint32Array(copy.buffer);
    return { family, bytes: copy, words, length: isV6 ? IPV6_BYTES : IPV4_BYTES };
  }
}
