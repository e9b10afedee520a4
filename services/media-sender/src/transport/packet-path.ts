import { randomBytes } from 'node:crypto';
import { CM_TAG_BYTES, GCM_TAG_BYTES, nodeCrypto, type PacketCrypto } from '../rtp/packet-crypto.js';
import { MAX_PACKET_BYTES } from '../rtp/packet-writer.js';
import { NativeLibrary } from './native/library.js';
import { NativeCrypto } from './native/native-crypto.js';
import { NativeSockets } from './native/native-sockets.js';
import { PacketBatch } from './native/packet-batch.js';
import { PacketMemory } from './native/packet-memory.js';
import { dgramSockets, type UdpSockets } from './udp-sockets.js';

/** How packets are encrypted and sent. */
export interface PacketPath {
  readonly kind: 'native' | 'javascript';
  /** On the native path, this encrypts only in the memory of the writers of {@link sockets}. */
  readonly crypto: PacketCrypto;
  readonly sockets: UdpSockets;
  /** Why the native path was not chosen, if it was wanted. */
  readonly reason?: string;
}

export const javascriptPath: PacketPath = { kind: 'javascript', crypto: nodeCrypto, sockets: dgramSockets };

const PAYLOAD_BYTES = 1000;
const HEADER_BYTES = 12;

/**
 * Chooses the process's packet path. The native path allocates memory that is never freed.
 * @param wanted `auto` chooses the native path if it is available and writes the same bytes as Node.js.
 * @throws Error for `native` if it is not available.
 */
export function choosePacketPath(wanted: 'auto' | PacketPath['kind']): PacketPath {
  if (wanted === 'javascript') return javascriptPath;
  try {
    return nativePath();
  } catch (error) {
    if (wanted === 'native') throw error;
    return { ...javascriptPath, reason: error instanceof Error ? error.message : String(error) };
  }
}

function nativePath(): PacketPath {
  const library = NativeLibrary.load();
  const packets = new PacketMemory(library);
  const crypto = new NativeCrypto(library, packets);
  assertSame(crypto, packets.bytes);
  return { kind: 'native', crypto, sockets: new NativeSockets(library, new PacketBatch(library, packets)) };
}

/** Encrypts one packet of each profile by both paths, because `node:ffi` is experimental and OpenSSL versions differ. */
function assertSame(native: PacketCrypto, memory: Buffer): void {
  const [key, authKey, iv, roc] = [randomBytes(16), randomBytes(20), randomBytes(16), randomBytes(4)];
  const [header, payload] = [randomBytes(HEADER_BYTES), randomBytes(PAYLOAD_BYTES)];
  const seal = (crypto: PacketCrypto, packet: Buffer) => {
    packet.set(header);
    crypto.sealGcm(key, iv.subarray(0, 12), packet, 0, HEADER_BYTES, payload);
    const gcm = Buffer.from(packet.subarray(0, HEADER_BYTES + PAYLOAD_BYTES + GCM_TAG_BYTES));
    packet.set(header);
    crypto.sealCm(key, iv, authKey, roc, packet, 0, HEADER_BYTES, payload);
    return Buffer.concat([gcm, packet.subarray(0, HEADER_BYTES + PAYLOAD_BYTES + CM_TAG_BYTES)]);
  };
  if (!seal(native, memory).equals(seal(nodeCrypto, Buffer.alloc(MAX_PACKET_BYTES))))
    throw new Error('OpenSSL, called directly, writes different bytes from Node.js');
}
