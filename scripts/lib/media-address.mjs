import { networkInterfaces } from 'node:os';

const LOOPBACK = '127.0.0.1';

/**
 * The address of this machine on which coturn and the media-senders are: one of its own, because Firefox refuses a TURN server on
 * loopback, and so that other machines can watch when the page is published. Loopback where there is no other.
 * @param {string} given by the person who starts it; empty: to be found
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

/** As it stands in a URI (RFC 3986 §3.2.2). @param {string} address */
export const uriHost = (address) => (address.includes(':') ? `[${address}]` : address);
