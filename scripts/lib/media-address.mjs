import { networkInterfaces } from 'node:os';

const LOOPBACK = '127.0.0.1';

/**
 * Address of coturn and the media-senders: one of this machine's, because Firefox rejects a TURN server on loopback, and so
 * that other machines can watch when the page is published. Loopback if there is no other.
 * @param {string} given the configured address; empty: choose one
 * @param {ReturnType<typeof networkInterfaces>} interfaces
 * @returns {string}
 */
export function mediaAddress(given, interfaces = networkInterfaces()) {
  if (given !== '') return given;
  const own = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal, address }) => family === 'IPv4' && !internal && !address.startsWith('169.254.'));
  return own?.address ?? LOOPBACK;
}

/** @param {string} address */
export const isLoopback = (address) => address.startsWith('127.') || address === '::1';

/** Formats an address for a URI (RFC 3986 §3.2.2). @param {string} address */
export const uriHost = (address) => (address.includes(':') ? `[${address}]` : address);
