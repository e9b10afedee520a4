import { CM_TAG_BYTES, GCM_TAG_BYTES, type PacketCrypto } from '../../rtp/packet-crypto.js';
import { MAX_PACKET_BYTES } from '../../rtp/packet-writer.js';
import { integer, type NativeLibrary, type NativeMemory, NULL } from './library.js';
import type { PacketMemory } from './packet-memory.js';

const KEY_BYTES = 16;
const AUTH_KEY_BYTES = 20;
const SHA1_BYTES = 20;
/** The authenticated part of AES-CM ends with the rollover counter. */
const ROC_BYTES = 4;

/** Offsets in the memory that OpenSSL reads and writes in addition to the packets. */
const AT = { key: 0, iv: 16, authKey: 32, tag: 64, tagBytes: 96, params: 112, names: 192 };
const MEMORY_BYTES = 256;
/** Size of the guard after that memory, checked by {@link NativeCrypto.guardIntact}. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;

const EVP_CTRL_AEAD_GET_TAG = 0x10n;
/** `OSSL_PARAM`: name, type, data, its size, and the returned size; 40 bytes on 64-bit platforms. */
const OSSL_PARAM_UTF8_STRING = 4;

/**
 * {@link PacketCrypto} by OpenSSL's own functions. Packets are encrypted in place in a {@link PacketMemory}, and native code
 * never accesses other memory. There is one permanent context per algorithm, so nothing has to be freed.
 */
export class NativeCrypto implements PacketCrypto {
  readonly #library: NativeLibrary;
  readonly #packets: PacketMemory;
  readonly #memory: NativeMemory;
  readonly #gcm: bigint;
  readonly #ctr: bigint;
  readonly #mac: bigint;
  /** The keys set in the contexts. */
  #gcmKey: Buffer | undefined;
  #ctrKey: Buffer | undefined;
  readonly #address: Readonly<Record<keyof typeof AT, bigint>>;

  /** @throws Error if OpenSSL does not support an algorithm. */
  constructor(library: NativeLibrary, packets: PacketMemory) {
    this.#library = library;
    this.#packets = packets;
    const { call } = library;
    this.#memory = library.allocate(MEMORY_BYTES + GUARD_BYTES);
    const { bytes, address } = this.#memory;
    bytes.fill(GUARD, MEMORY_BYTES);
    const at = (name: keyof typeof AT) => address + BigInt(AT[name]);
    this.#address = {
      key: at('key'),
      iv: at('iv'),
      authKey: at('authKey'),
      tag: at('tag'),
      tagBytes: at('tagBytes'),
      params: at('params'),
      names: at('names'),
    };
    this.#gcm = this.#cipher(call.EVP_aes_128_gcm());
    this.#ctr = this.#cipher(call.EVP_aes_128_ctr());
    this.#mac = this.#hmacSha1();
  }

  sealGcm(key: Buffer, iv: Buffer, memory: Buffer, at: number, headerBytes: number, payload: Buffer): void {
    const { call } = this.#library;
    const address = this.#address;
    const packet = this.#load(iv, 12, memory, at, headerBytes, payload);
    const isKeyed = this.#gcmKey === key;
    if (!isKeyed) {
      this.#setKey(key);
      this.#gcmKey = key;
    }
    const body = packet + integer(headerBytes);
    const isSealed =
      call.EVP_EncryptInit_ex(this.#gcm, NULL, NULL, isKeyed ? NULL : address.key, address.iv) === 1 &&
      call.EVP_Cipher(this.#gcm, NULL, packet, integer(headerBytes)) === headerBytes &&
      call.EVP_Cipher(this.#gcm, body, body, integer(payload.length)) === payload.length &&
      call.EVP_Cipher(this.#gcm, NULL, NULL, NULL) >= 0 &&
      call.EVP_CIPHER_CTX_ctrl(this.#gcm, EVP_CTRL_AEAD_GET_TAG, integer(GCM_TAG_BYTES), address.tag) === 1;
    if (!isSealed) throw this.#failed('AES-128-GCM');
    this.#appendTag(memory, at + headerBytes + payload.length, GCM_TAG_BYTES);
  }

  sealCm(
    key: Buffer,
    iv: Buffer,
    authKey: Buffer,
    roc: Buffer,
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
  ): void {
    const { call } = this.#library;
    const address = this.#address;
    const packet = this.#load(iv, 16, memory, at, headerBytes, payload);
    if (authKey.length !== AUTH_KEY_BYTES || roc.length !== ROC_BYTES)
      throw new RangeError('a key has the wrong length');
    const isKeyed = this.#ctrKey === key;
    if (!isKeyed) {
      this.#setKey(key);
      this.#memory.bytes.set(authKey, AT.authKey);
      this.#ctrKey = key;
    }
    const bytes = headerBytes + payload.length;
    const body = packet + integer(headerBytes);
    const isEncrypted =
      call.EVP_EncryptInit_ex(this.#ctr, NULL, NULL, isKeyed ? NULL : address.key, address.iv) === 1 &&
      call.EVP_Cipher(this.#ctr, body, body, integer(payload.length)) === payload.length;
    memory.set(roc, at + bytes);
    const isSealed =
      isEncrypted &&
      call.EVP_MAC_init(this.#mac, address.authKey, integer(AUTH_KEY_BYTES), NULL) === 1 &&
      call.EVP_MAC_update(this.#mac, packet, integer(bytes + ROC_BYTES)) === 1 &&
      call.EVP_MAC_final(this.#mac, address.tag, address.tagBytes, integer(SHA1_BYTES)) === 1;
    if (!isSealed) throw this.#failed('AES-128-CTR with HMAC-SHA1');
    this.#appendTag(memory, at + bytes, CM_TAG_BYTES);
  }

  /** @returns whether nothing was written beyond the memory for keys and tags. */
  guardIntact(): boolean {
    return this.#memory.bytes.subarray(MEMORY_BYTES).every((byte) => byte === GUARD);
  }

  /**
   * Copies the payload behind the header, where it is encrypted.
   * @returns the packet's address.
   * @throws RangeError if the packet is not in the packet memory, has no room for its tag, or a length is wrong.
   */
  #load(iv: Buffer, ivBytes: number, memory: Buffer, at: number, headerBytes: number, payload: Buffer): bigint {
    const address = this.#packets.addressAt(memory, at);
    // Room for the longest of both tags and the rollover counter.
    const isInside = headerBytes >= 0 && headerBytes + payload.length + GCM_TAG_BYTES <= MAX_PACKET_BYTES;
    if (!isInside || iv.length !== ivBytes) {
      throw new RangeError(`packet or nonce length out of range: ${headerBytes} + ${payload.length}, ${iv.length}`);
    }
    this.#memory.bytes.set(iv, AT.iv);
    memory.set(payload, at + headerBytes);
    return address;
  }

  #appendTag(memory: Buffer, end: number, tagBytes: number): void {
    const { bytes } = this.#memory;
    // A loop is faster than a native copy of this length.
    for (let i = 0; i < tagBytes; i++) memory[end + i] = bytes[AT.tag + i] as number;
  }

  #setKey(key: Buffer): void {
    if (key.length !== KEY_BYTES) throw new RangeError('a key has the wrong length');
    this.#memory.bytes.set(key, AT.key);
  }

  /** Forgets the keys of the contexts, whose state is unknown after a failure. */
  #failed(what: string): Error {
    this.#gcmKey = undefined;
    this.#ctrKey = undefined;
    return new Error(`OpenSSL refused ${what}`);
  }

  #cipher(algorithm: bigint): bigint {
    const { call } = this.#library;
    const context = call.EVP_CIPHER_CTX_new();
    if (algorithm === NULL || context === NULL) throw new Error('OpenSSL has no AES');
    if (call.EVP_EncryptInit_ex(context, algorithm, NULL, NULL, NULL) !== 1) throw this.#failed('a cipher');
    return context;
  }

  #hmacSha1(): bigint {
    const { call } = this.#library;
    const { bytes } = this.#memory;
    const at = this.#address;
    const [name, digest] = [at.names, at.names + 16n];
    bytes.write('digest\0', AT.names, 'latin1');
    bytes.write('SHA1\0', AT.names + 16, 'latin1');
    // One parameter, digest=SHA1, and an empty one that ends the list.
    bytes.writeBigUInt64LE(name, AT.params);
    bytes.writeUInt32LE(OSSL_PARAM_UTF8_STRING, AT.params + 8);
    bytes.writeBigUInt64LE(digest, AT.params + 16);
    bytes.writeBigUInt64LE(4n, AT.params + 24);
    bytes.write('HMAC\0', AT.names + 32, 'latin1');
    const mac = call.EVP_MAC_fetch(NULL, at.names + 32n, NULL);
    const context = mac === NULL ? NULL : call.EVP_MAC_CTX_new(mac);
    if (context === NULL) throw new Error('OpenSSL has no HMAC');
    if (call.EVP_MAC_init(context, at.authKey, integer(AUTH_KEY_BYTES), at.params) !== 1)
      throw this.#failed('HMAC-SHA1');
    return context;
  }
}
