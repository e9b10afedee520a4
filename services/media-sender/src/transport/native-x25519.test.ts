import nacl from 'tweetnacl';
import { describe, expect, it } from 'vitest';
import { keyPair, scalarMult } from './native-x25519.js';

describe('X25519 by OpenSSL', () => {
  it('returns the results of RFC 7748 §5.2', () => {
    const scalar = Buffer.from('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4', 'hex');
    const point = Buffer.from('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c', 'hex');
    const product = 'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552';
    expect(Buffer.from(scalarMult(scalar, point)).toString('hex')).toBe(product);
  });

  it('agrees with the implementation that it replaces, at either end', () => {
    const [ours, theirs] = [keyPair(), nacl.box.keyPair()];
    expect([ours.publicKey.length, ours.secretKey.length]).toEqual([32, 32]);
    const secret = Buffer.from(scalarMult(ours.secretKey, theirs.publicKey));
    expect(secret.equals(nacl.scalarMult(theirs.secretKey, ours.publicKey))).toBe(true);
  });

  it('returns keys in memory of their own, because werift uses all of the underlying memory', () => {
    const { publicKey, secretKey } = keyPair();
    expect([publicKey.buffer.byteLength, secretKey.buffer.byteLength]).toEqual([32, 32]);
  });

  it('rejects a key that would make the secret known', () => {
    expect(() => scalarMult(keyPair().secretKey, Buffer.alloc(32))).toThrow();
  });
});
