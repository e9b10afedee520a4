import { CM_TAG_BYTES, GCM_TAG_BYTES, type PacketCrypto } from '../../rtp/packet-crypto.js';
import { MAX_PACKET_BYTES } from '../../rtp/packet-writer.js';
import type { NativeLibrary, NativeMemory } from './library.js';

const KEY_BYTES = 16;
const AUTH_KEY_BYTES = 20;
const SHA1_BYTES = 20;
/** The authenticated text of AES-CM ends with the rollover counter. */
const ROC_BYTES = 4;

/** Where things are in the memory that OpenSSL reads and writes. */
const AT = { key: 0, iv: 16, authKey: 32, tag: 64, tagBytes: 96, params: 112, names: 192, packet: 256 };
/** A guard behind the packet, which {@link NativeCrypto.guardsIntact} looks at. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;
const GUARD_AT = AT.packet + MAX_PACKET_BYTES;

const NULL = 0n;
const EVP_CTRL_AEAD_GET_TAG = 0x10n;
/** `OSSL_PARAM`: name, type, data, its size, and what came back; 40 bytes on 64-bit platforms. */
const OSSL_PARAM_UTF8_STRING = 4;
/** Numbers as native code takes them, so that no packet makes one. */
const LENGTHS = Array.from({ length: MAX_PACKET_BYTES + 1 }, (_, i) => BigInt(i));

/**
 * {@link PacketCrypto} by OpenSSL's own functions. There is one context an algorithm, kept for good, and one piece of memory,
 * in which a packet is encrypted in place: native code is never pointed at anybody else's memory, and nothing has to be freed.
 */
export class NativeCrypto implements PacketCrypto {
  readonly #library: NativeLibrary;
  readonly #memory: NativeMemory;
  readonly #gcm: bigint;
  readonly #ctr: bigint;
  readonly #mac: bigint;
  /** What the contexts have been keyed with last. */
  #gcmKey: Buffer | undefined;
  #ctrKey: Buffer | undefined;
  readonly #address: Readonly<Record<keyof typeof AT, bigint>>;

  /** @throws Error when OpenSSL refuses an algorithm. */
  constructor(library: NativeLibrary) {
    this.#library = library;
    const { call } = library;
    this.#memory = library.allocate(GUARD_AT + GUARD_BYTES);
    const { bytes, address } = this.#memory;
    bytes.fill(GUARD, GUARD_AT);
    const at = (name: keyof typeof AT) => address + BigInt(AT[name]);
    this.#address = {
      key: at('key'),
      iv: at('iv'),
      authKey: at('authKey'),
      tag: at('tag'),
      tagBytes: at('tagBytes'),
      params: at('params'),
      names: at('names'),
      packet: at('packet'),
    };
    this.#gcm = this.#cipher(call.EVP_aes_128_gcm());
    this.#ctr = this.#cipher(call.EVP_aes_128_ctr());
    this.#mac = this.#hmacSha1();
  }

  sealGcm(key: Buffer, iv: Buffer, packet: Buffer, headerBytes: number, payload: Buffer): void {
    const { call } = this.#library;
    const at = this.#address;
    const { bytes } = this.#memory;
    const end = this.#load(iv, 12, packet, headerBytes, payload, GCM_TAG_BYTES);
    const isKeyed = this.#gcmKey === key;
    if (!isKeyed) {
      this.#setKey(key);
      this.#gcmKey = key;
    }
    const body = at.packet + length(headerBytes);
    const isSealed =
      call.EVP_EncryptInit_ex(this.#gcm, NULL, NULL, isKeyed ? NULL : at.key, at.iv) === 1 &&
      call.EVP_Cipher(this.#gcm, NULL, at.packet, length(headerBytes)) === headerBytes &&
      call.EVP_Cipher(this.#gcm, body, body, length(payload.length)) === payload.length &&
      call.EVP_Cipher(this.#gcm, NULL, NULL, NULL) >= 0 &&
      call.EVP_CIPHER_CTX_ctrl(this.#gcm, EVP_CTRL_AEAD_GET_TAG, length(GCM_TAG_BYTES), at.tag) === 1;
    if (!isSealed) throw this.#failed('AES-128-GCM');
    bytes.copy(packet, headerBytes, AT.packet + headerBytes, AT.packet + end);
    bytes.copy(packet, end, AT.tag, AT.tag + GCM_TAG_BYTES);
  }

  sealCm(
    key: Buffer,
    iv: Buffer,
    authKey: Buffer,
    roc: Buffer,
    packet: Buffer,
    headerBytes: number,
    payload: Buffer,
  ): void {
    const { call } = this.#library;
    const at = this.#address;
    const { bytes } = this.#memory;
    const end = this.#load(iv, 16, packet, headerBytes, payload, CM_TAG_BYTES);
    if (authKey.length !== AUTH_KEY_BYTES || roc.length !== ROC_BYTES) throw new RangeError('a key of the wrong size');
    const isKeyed = this.#ctrKey === key;
    if (!isKeyed) {
      this.#setKey(key);
      bytes.set(authKey, AT.authKey);
      this.#ctrKey = key;
    }
    const body = at.packet + length(headerBytes);
    const isEncrypted =
      call.EVP_EncryptInit_ex(this.#ctr, NULL, NULL, isKeyed ? NULL : at.key, at.iv) === 1 &&
      call.EVP_Cipher(this.#ctr, body, body, length(payload.length)) === payload.length;
    bytes.set(roc, AT.packet + end);
    const isSealed =
      isEncrypted &&
      call.EVP_MAC_init(this.#mac, at.authKey, length(AUTH_KEY_BYTES), NULL) === 1 &&
      call.EVP_MAC_update(this.#mac, at.packet, length(end + ROC_BYTES)) === 1 &&
      call.EVP_MAC_final(this.#mac, at.tag, at.tagBytes, length(SHA1_BYTES)) === 1;
    if (!isSealed) throw this.#failed('AES-128-CTR with HMAC-SHA1');
    bytes.copy(packet, headerBytes, AT.packet + headerBytes, AT.packet + end);
    bytes.copy(packet, end, AT.tag, AT.tag + CM_TAG_BYTES);
  }

  /** @returns whether native code has written nowhere but where it should. */
  guardsIntact(): boolean {
    return this.#memory.bytes.subarray(GUARD_AT).every((byte) => byte === GUARD);
  }

  /**
   * Copies what is to be sealed to where native code finds it.
   * @returns where the payload ends in the packet.
   * @throws RangeError when it, or its tag, does not fit, or a length is not what it should be.
   */
  #load(iv: Buffer, ivBytes: number, packet: Buffer, headerBytes: number, payload: Buffer, tagBytes: number): number {
    const end = headerBytes + payload.length;
    // As much room as the longer of both tags, or the rollover counter, takes.
    const isInside = headerBytes >= 0 && end + GCM_TAG_BYTES <= MAX_PACKET_BYTES && end + tagBytes <= packet.length;
    if (!isInside || iv.length !== ivBytes) throw new RangeError(`no packet to be sealed: ${headerBytes} to ${end}`);
    const { bytes } = this.#memory;
    bytes.set(iv, AT.iv);
    packet.copy(bytes, AT.packet, 0, headerBytes);
    bytes.set(payload, AT.packet + headerBytes);
    return end;
  }

  #setKey(key: Buffer): void {
    if (key.length !== KEY_BYTES) throw new RangeError('a key of the wrong size');
    this.#memory.bytes.set(key, AT.key);
  }

  /** Forgets what the contexts hold: after a failure nobody knows it. */
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
    if (call.EVP_MAC_init(context, at.authKey, length(AUTH_KEY_BYTES), at.params) !== 1)
      throw this.#failed('HMAC-SHA1');
    return context;
  }
}

/** @returns a length that has been checked, as native code takes it. */
function length(bytes: number): bigint {
  const value = LENGTHS[bytes];
  if (value === undefined) throw new RangeError(`not a length: ${bytes}`);
  return value;
}
