import { createCipheriv, createHmac } from 'node:crypto';

/** Cipher operations of the SRTP profiles on the RTP packet at `at` in `memory`, whose header is already there. */
export interface PacketCrypto {
  /**
   * Encrypts `payload` into the packet after the header with AES-128-GCM, authenticates the header too, and appends the
   * 16-byte tag.
   * @param key An immutable object, which identifies the key.
   */
  sealGcm(key: Buffer, iv: Buffer, memory: Buffer, at: number, headerBytes: number, payload: Buffer): void;
  /**
   * Encrypts `payload` into the packet after the header with AES-128-CTR, and appends the first {@link CM_TAG_BYTES} of
   * HMAC-SHA1 over header, encrypted payload and `roc`.
   * @param authKey 20 bytes.
   * @param roc The rollover counter, 4 bytes (RFC 3711 §4.2).
   */
  sealCm(
    key: Buffer,
    iv: Buffer,
    authKey: Buffer,
    roc: Buffer,
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
  ): void;
}

export const GCM_TAG_BYTES = 16;
export const CM_TAG_BYTES = 10;

/** {@link PacketCrypto} on `node:crypto`, which runs wherever Node.js does. */
export const nodeCrypto: PacketCrypto = {
  sealGcm(key, iv, memory, at, headerBytes, payload) {
    const body = at + headerBytes;
    const cipher = createCipheriv('aes-128-gcm', key, iv);
    cipher.setAAD(memory.subarray(at, body));
    memory.set(cipher.update(payload), body);
    cipher.final();
    memory.set(cipher.getAuthTag(), body + payload.length);
  },

  sealCm(key, iv, authKey, roc, memory, at, headerBytes, payload) {
    const body = at + headerBytes;
    memory.set(createCipheriv('aes-128-ctr', key, iv).update(payload), body);
    const end = body + payload.length;
    const hmac = createHmac('sha1', authKey).update(memory.subarray(at, end)).update(roc);
    memory.set(hmac.digest().subarray(0, CM_TAG_BYTES), end);
  },
};
