import { createCipheriv, createHmac } from 'node:crypto';

/** What SRTP's profiles need to protect an RTP packet. Both forms write behind the header, and need room for the tag. */
export interface PacketCrypto {
  /**
   * Encrypts `payload` into `packet` at `headerBytes` with AES-128-GCM, the header being authenticated too, and appends the
   * 16-byte tag.
   * @param key never changes: the same object is the same key.
   */
  sealGcm(key: Buffer, iv: Buffer, packet: Buffer, headerBytes: number, payload: Buffer): void;
  /**
   * Encrypts `payload` into `packet` at `headerBytes` with AES-128-CTR, and appends the first {@link CM_TAG_BYTES} of
   * HMAC-SHA1 over header, encrypted payload and `roc`.
   * @param authKey 20 bytes.
   * @param roc the rollover counter, 4 bytes (RFC 3711 §4.2).
   */
  sealCm(
    key: Buffer,
    iv: Buffer,
    authKey: Buffer,
    roc: Buffer,
    packet: Buffer,
    headerBytes: number,
    payload: Buffer,
  ): void;
}

export const GCM_TAG_BYTES = 16;
export const CM_TAG_BYTES = 10;

/** {@link PacketCrypto} on `node:crypto`, which runs wherever Node does. */
export const nodeCrypto: PacketCrypto = {
  sealGcm(key, iv, packet, headerBytes, payload) {
    const cipher = createCipheriv('aes-128-gcm', key, iv);
    cipher.setAAD(packet.subarray(0, headerBytes));
    packet.set(cipher.update(payload), headerBytes);
    cipher.final();
    packet.set(cipher.getAuthTag(), headerBytes + payload.length);
  },

  sealCm(key, iv, authKey, roc, packet, headerBytes, payload) {
    packet.set(createCipheriv('aes-128-ctr', key, iv).update(payload), headerBytes);
    const end = headerBytes + payload.length;
    const hmac = createHmac('sha1', authKey).update(packet.subarray(0, end)).update(roc);
    packet.set(hmac.digest().subarray(0, CM_TAG_BYTES), end);
  },
};
