import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import nacl from 'tweetnacl';

/** What comes before the 32 bytes of a key in its DER form (RFC 8410 §7, §4). */
const PRIVATE_KEY_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** Private keys by the memory of their bytes, which werift hands back: OpenSSL takes as long to read one as to use it. */
const known = new WeakMap<ArrayBufferLike, KeyObject>();

/** @throws Error when the result would be all zeros: a key that gives nothing away (RFC 7748 §6.1). */
export function scalarMult(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return diffieHellman({
    privateKey:
      known.get(privateKey.buffer) ??
      createPrivateKey({ key: join(PRIVATE_KEY_PREFIX, privateKey), format: 'der', type: 'pkcs8' }),
    publicKey: createPublicKey({ key: join(PUBLIC_KEY_PREFIX, publicKey), format: 'der', type: 'spki' }),
  });
}

export function keyPair(): { publicKey: Uint8Array; secretKey: Uint8Array } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  const secretKey = rawKey(privateKey.export({ format: 'der', type: 'pkcs8' }));
  known.set(secretKey.buffer, privateKey);
  return { publicKey: rawKey(publicKey.export({ format: 'der', type: 'spki' })), secretKey };
}

/**
 * werift's DTLS computes X25519 in JavaScript, which holds the event loop, and with it every session's packets, for 4 ms a
 * handshake; OpenSSL takes a tenth of one. From now on werift's library uses OpenSSL.
 */
export function useNativeX25519(): void {
  nacl.scalarMult = Object.assign(scalarMult, { scalarLength: 32, groupElementLength: 32, base: nacl.scalarMult.base });
  nacl.box.keyPair = Object.assign(keyPair, { fromSecretKey: nacl.box.keyPair.fromSecretKey });
}

function join(prefix: Buffer, key: Uint8Array): Buffer {
  return Buffer.concat([prefix, key]);
}

/** In memory of its own: werift takes all of what lies under it. */
function rawKey(der: Buffer): Uint8Array {
  return Uint8Array.from(der.subarray(-32));
}
