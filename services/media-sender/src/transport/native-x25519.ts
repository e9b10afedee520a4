import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import nacl from 'tweetnacl';

/** The bytes before the 32 bytes of a key in its DER form (RFC 8410 §7, §4). */
const PRIVATE_KEY_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PUBLIC_KEY_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** Private keys by the memory of their bytes, which werift passes back: parsing a key takes OpenSSL as long as using it. */
const known = new WeakMap<ArrayBufferLike, KeyObject>();

/** @throws Error if the result is all zeros: such a public key makes the secret known (RFC 7748 §6.1). */
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
 * Replaces X25519 in werift's library by OpenSSL's. werift computes it in JavaScript, which blocks the event loop, and with
 * it the packets of all sessions, for 4 ms per handshake; OpenSSL takes a tenth of a millisecond.
 */
export function useNativeX25519(): void {
  nacl.scalarMult = Object.assign(scalarMult, { scalarLength: 32, groupElementLength: 32, base: nacl.scalarMult.base });
  nacl.box.keyPair = Object.assign(keyPair, { fromSecretKey: nacl.box.keyPair.fromSecretKey });
}

function join(prefix: Buffer, key: Uint8Array): Buffer {
  return Buffer.concat([prefix, key]);
}

/** Copies it, because werift uses the whole of the underlying memory. */
function rawKey(der: Buffer): Uint8Array {
  return Uint8Array.from(der.subarray(-32));
}
