import { randomBytes } from 'node:crypto';
import { nodeCrypto, type PacketCrypto } from '../rtp/packet-crypto.js';
import { MAX_PACKET_BYTES } from '../rtp/packet-writer.js';
import { NativeLibrary } from './native/library.js';
import { NativeCrypto } from './native/native-crypto.js';

/** How packets are encrypted. */
export interface PacketPath {
  readonly kind: 'native' | 'javascript';
  readonly crypto: PacketCrypto;
  /** Why it is not the native one, where that was wanted. */
  readonly reason?: string;
}

const PAYLOAD_BYTES = 1000;
const HEADER_BYTES = 12;

/**
 * @param wanted `auto`: the native one where it is to be had and writes the same bytes as Node.js.
 * @throws Error for `native` where it is not to be had.
 */
export function choosePacketPath(wanted: 'auto' | PacketPath['kind']): PacketPath {
  if (wanted === 'javascript') return { kind: 'javascript', crypto: nodeCrypto };
  try {
    const crypto = new NativeCrypto(NativeLibrary.load());
    assertSame(crypto);
    return { kind: 'native', crypto };
  } catch (error) {
    if (wanted === 'native') throw error;
    return { kind: 'javascript', crypto: nodeCrypto, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Seals one packet of each profile by both, since `node:ffi` is experimental and OpenSSL may be another. */
function assertSame(native: PacketCrypto): void {
  const [key, authKey, iv, roc] = [randomBytes(16), randomBytes(20), randomBytes(16), randomBytes(4)];
  const [header, payload] = [randomBytes(HEADER_BYTES), randomBytes(PAYLOAD_BYTES)];
  const seal = (crypto: PacketCrypto) => {
    const [gcm, cm] = [Buffer.alloc(MAX_PACKET_BYTES), Buffer.alloc(MAX_PACKET_BYTES)];
    for (const packet of [gcm, cm]) packet.set(header);
    crypto.sealGcm(key, iv.subarray(0, 12), gcm, HEADER_BYTES, payload);
    crypto.sealCm(key, iv, authKey, roc, cm, HEADER_BYTES, payload);
    return Buffer.concat([gcm, cm]);
  };
  if (!seal(native).equals(seal(nodeCrypto)))
    throw new Error('OpenSSL, called directly, writes other bytes than Node.js');
}
