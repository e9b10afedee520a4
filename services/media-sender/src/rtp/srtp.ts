import { createCipheriv, createDecipheriv, createHmac, type DecipherGCM, timingSafeEqual } from 'node:crypto';
import { CM_TAG_BYTES, GCM_TAG_BYTES, nodeCrypto, type PacketCrypto } from './packet-crypto.js';

/** Supported protection profiles of DTLS-SRTP, by their registered names (RFC 5764 §4.1.2, RFC 7714 §14.2). */
export type SrtpProfile = 'AEAD_AES_128_GCM' | 'AES128_CM_HMAC_SHA1_80';

export interface SrtpKeys {
  readonly profile: SrtpProfile;
  /** {@link MASTER_KEY_BYTES} long. */
  readonly masterKey: Buffer;
  /** {@link masterSaltBytes} long. */
  readonly masterSalt: Buffer;
}

export const MASTER_KEY_BYTES = 16;
export const masterSaltBytes = (profile: SrtpProfile) => (profile === 'AEAD_AES_128_GCM' ? 12 : 14);

/** E flag and 31-bit index at the end of SRTCP (RFC 3711 §3.4). */
const SRTCP_WORD_BYTES = 4;
const E_FLAG = 0x8000_0000;
const INDEX_MASK = 0x7fff_ffff;
/** Maximum number of reporting SSRCs per viewer; a browser has one or two. */
const MAX_SENDERS = 16;
/** The part that SRTCP does not encrypt: the first packet's header and sender SSRC. */
const RTCP_CLEAR_BYTES = 8;

/** The operations that differ between profiles. */
interface Transform {
  /** Bytes that protection adds to an RTP packet. */
  readonly tagBytes: number;
  /** Encrypts `payload` to behind the header that is already at `at` in `memory`, and appends the tag. */
  sealRtp(
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
    ssrc: number,
    roc: number,
    sequence: number,
  ): void;
  /**
   * @param headerBytes Length of the RTP header, which lies within the packet.
   * @returns The payload in clear; `undefined` if the packet is not authentic.
   */
  openRtp(packet: Buffer, headerBytes: number, ssrc: number, roc: number, sequence: number): Buffer | undefined;
  /** Writes `packet` as SRTCP at `at` in `memory`. @returns Its length. */
  sealRtcp(memory: Buffer, at: number, packet: Buffer, index: number): number;
  /** @returns `undefined` if the packet is not authentic. */
  openRtcp(packet: Buffer): { packet: Buffer; index: number } | undefined;
}

/** Encrypts outgoing packets (RFC 3711). The streams provide sequence numbers and rollover counters. */
export class SrtpSender {
  readonly #transform: Transform;
  #rtcpIndex = 0;

  constructor(keys: SrtpKeys, crypto: PacketCrypto = nodeCrypto) {
    this.#transform = createTransform(keys, crypto);
  }

  /** Bytes that protection adds to an RTP packet. */
  get overheadBytes(): number {
    return this.#transform.tagBytes;
  }

  /**
   * Completes the packet that begins with its RTP header at `at` in `memory` with the encrypted payload and its tag. There
   * must be room for them.
   * @returns The total length.
   */
  protectRtp(
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
    ssrc: number,
    roc: number,
    sequence: number,
  ): number {
    this.#transform.sealRtp(memory, at, headerBytes, payload, ssrc, roc, sequence);
    return headerBytes + payload.length + this.#transform.tagBytes;
  }

  /**
   * Writes a compound RTCP packet as SRTCP at `at` in `memory`, where there must be room for it.
   * @returns Its length.
   */
  protectRtcp(memory: Buffer, at: number, packet: Buffer): number {
    this.#rtcpIndex = (this.#rtcpIndex + 1) & INDEX_MASK;
    return this.#transform.sealRtcp(memory, at, packet, this.#rtcpIndex);
  }
}

/** Decrypts a viewer's RTP and RTCP, each packet once (RFC 3711 §3.3.2). */
export class SrtpReceiver {
  readonly #transform: Transform;
  /** Replay windows of RTCP by sender (RFC 3711 §3.2.1). */
  readonly #replay = new Map<number, ReplayWindow>();
  /** Packet indices of RTP by sender. */
  readonly #indices = new Map<number, RtpIndex>();

  constructor(keys: SrtpKeys) {
    this.#transform = createTransform(keys, nodeCrypto);
  }

  /**
   * @returns The compound packet in clear; `undefined` if authentication fails, the E flag is 0, or the index was replayed.
   */
  unprotectRtcp(packet: Buffer): Buffer | undefined {
    const opened = this.#transform.openRtcp(packet);
    return opened && this.#windowOf(opened.packet.readUInt32BE(4)).accept(opened.index) ? opened.packet : undefined;
  }

  /**
   * @param headerBytes Length of the RTP header, which lies within the packet.
   * @returns The payload in clear, with its padding; `undefined` if authentication fails or the index was replayed.
   */
  unprotectRtp(packet: Buffer, headerBytes: number, ssrc: number, sequence: number): Buffer | undefined {
    const known = this.#indices.get(ssrc);
    const state = known ?? new RtpIndex(sequence);
    const index = state.estimate(sequence);
    if (index < 0 || !state.window.isNew(index)) return undefined;
    const payload = this.#transform.openRtp(packet, headerBytes, ssrc, Math.floor(index / SEQUENCES), sequence);
    if (!payload) return undefined;
    // Nothing is remembered of a packet that is not authentic, so that forged ones move no window and take no memory.
    state.accept(index);
    if (!known) remember(this.#indices, ssrc, state);
    return payload;
  }

  #windowOf(ssrc: number): ReplayWindow {
    const known = this.#replay.get(ssrc);
    if (known) return known;
    const window = new ReplayWindow();
    remember(this.#replay, ssrc, window);
    return window;
  }
}

function remember<T>(states: Map<number, T>, ssrc: number, state: T): void {
  states.set(ssrc, state);
  const [oldest] = states.keys();
  if (states.size > MAX_SENDERS && oldest !== undefined) states.delete(oldest);
}

const SEQUENCES = 65_536;

/** Extends a sender's 16-bit sequence numbers to 48-bit packet indices (RFC 3711 §3.3.1). */
class RtpIndex {
  readonly window = new ReplayWindow();
  #highest: number;

  /** @param sequence The first one: its rollover counter is 0. */
  constructor(sequence: number) {
    this.#highest = sequence;
  }

  /** @returns The index closest to the highest one so far; negative for a packet before the first rollover period. */
  estimate(sequence: number): number {
    const highestSequence = this.#highest % SEQUENCES;
    const base = this.#highest - highestSequence + sequence;
    if (sequence - highestSequence > SEQUENCES / 2) return base - SEQUENCES;
    return highestSequence - sequence > SEQUENCES / 2 ? base + SEQUENCES : base;
  }

  accept(index: number): void {
    this.window.accept(index);
    this.#highest = Math.max(this.#highest, index);
  }
}

/** Size of the replay window; RFC 3711 §3.3.2 requires at least 64. */
const WINDOW = 128;

/** Replay window over the last {@link WINDOW} indices; each slot holds the last index received for it. */
class ReplayWindow {
  #highest = -1;
  readonly #seen = new Float64Array(WINDOW).fill(-1);

  /** @returns Whether the index is within or ahead of the window and was not accepted before. */
  isNew(index: number): boolean {
    return index > this.#highest - WINDOW && this.#seen[index % WINDOW] !== index;
  }

  /** @returns Whether the index {@link isNew}; it is not new any more. */
  accept(index: number): boolean {
    if (!this.isNew(index)) return false;
    this.#seen[index % WINDOW] = index;
    this.#highest = Math.max(this.#highest, index);
    return true;
  }
}

function isAuthentic(decipher: DecipherGCM): boolean {
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

function createTransform(keys: SrtpKeys, crypto: PacketCrypto): Transform {
  return keys.profile === 'AEAD_AES_128_GCM' ? new AesGcm(keys, crypto) : new AesCmHmacSha1(keys, crypto);
}

/** AEAD_AES_128_GCM (RFC 7714). */
class AesGcm implements Transform {
  readonly tagBytes = GCM_TAG_BYTES;
  readonly #crypto: PacketCrypto;
  readonly #rtpKey: Buffer;
  readonly #rtpSalt: Buffer;
  readonly #rtcpKey: Buffer;
  readonly #rtcpSalt: Buffer;
  readonly #iv = Buffer.alloc(12);

  constructor(keys: SrtpKeys, crypto: PacketCrypto) {
    this.#crypto = crypto;
    this.#rtpKey = deriveKey(keys, LABEL.rtpEncryption, 16);
    this.#rtpSalt = deriveKey(keys, LABEL.rtpSalt, 12);
    this.#rtcpKey = deriveKey(keys, LABEL.rtcpEncryption, 16);
    this.#rtcpSalt = deriveKey(keys, LABEL.rtcpSalt, 12);
  }

  sealRtp(
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
    ssrc: number,
    roc: number,
    sequence: number,
  ): void {
    const iv = this.#rtpIv(ssrc, roc, sequence);
    this.#crypto.sealGcm(this.#rtpKey, iv, memory, at, headerBytes, payload);
  }

  openRtp(packet: Buffer, headerBytes: number, ssrc: number, roc: number, sequence: number): Buffer | undefined {
    const tagAt = packet.length - this.tagBytes;
    if (tagAt < headerBytes) return undefined;
    const decipher = createDecipheriv('aes-128-gcm', this.#rtpKey, this.#rtpIv(ssrc, roc, sequence));
    decipher.setAAD(packet.subarray(0, headerBytes));
    decipher.setAuthTag(packet.subarray(tagAt));
    const clear = decipher.update(packet.subarray(headerBytes, tagAt));
    return isAuthentic(decipher) ? clear : undefined;
  }

  sealRtcp(memory: Buffer, at: number, packet: Buffer, index: number): number {
    const iv = this.#rtcpIv(packet.readUInt32BE(4), index);
    packet.copy(memory, at, 0, RTCP_CLEAR_BYTES);
    // §9.2: authenticated as if it followed the clear part, it is sent at the end.
    writeSrtcpWord(memory, at + RTCP_CLEAR_BYTES, index);
    const headerBytes = RTCP_CLEAR_BYTES + SRTCP_WORD_BYTES;
    this.#crypto.sealGcm(this.#rtcpKey, iv, memory, at, headerBytes, packet.subarray(RTCP_CLEAR_BYTES));
    const bytes = packet.length + this.tagBytes;
    memory.copyWithin(at + RTCP_CLEAR_BYTES, at + headerBytes, at + bytes + SRTCP_WORD_BYTES);
    writeSrtcpWord(memory, at + bytes, index);
    return bytes + SRTCP_WORD_BYTES;
  }

  openRtcp(packet: Buffer): { packet: Buffer; index: number } | undefined {
    const wordAt = packet.length - SRTCP_WORD_BYTES;
    const tagAt = wordAt - this.tagBytes;
    if (tagAt < RTCP_CLEAR_BYTES || packet.readUInt32BE(wordAt) < E_FLAG) return undefined;
    const index = packet.readUInt32BE(wordAt) & INDEX_MASK;
    const header = packet.subarray(0, RTCP_CLEAR_BYTES);
    const decipher = createDecipheriv('aes-128-gcm', this.#rtcpKey, this.#rtcpIv(packet.readUInt32BE(4), index));
    decipher.setAAD(Buffer.concat([header, packet.subarray(wordAt)]));
    decipher.setAuthTag(packet.subarray(tagAt, wordAt));
    const clear = decipher.update(packet.subarray(RTCP_CLEAR_BYTES, tagAt));
    return isAuthentic(decipher) ? { packet: Buffer.concat([header, clear]), index } : undefined;
  }

  #rtpIv(ssrc: number, roc: number, sequence: number): Buffer {
    // §8.1: 16 zero bits, SSRC, rollover counter, sequence number; all of it XOR the salt.
    const iv = this.#ivOf(this.#rtpSalt, ssrc);
    xorWord(iv, 6, roc);
    iv.writeUInt16BE(iv.readUInt16BE(10) ^ sequence, 10);
    return iv;
  }

  #rtcpIv(ssrc: number, index: number): Buffer {
    // §9.1: 16 zero bits, SSRC, 16 zero bits, index.
    const iv = this.#ivOf(this.#rtcpSalt, ssrc);
    xorWord(iv, 8, index);
    return iv;
  }

  #ivOf(salt: Buffer, ssrc: number): Buffer {
    const iv = this.#iv;
    iv.set(salt);
    xorWord(iv, 2, ssrc);
    return iv;
  }
}

/** AES128_CM_HMAC_SHA1_80 (RFC 3711 §4), which viewers without GCM negotiate. */
class AesCmHmacSha1 implements Transform {
  readonly tagBytes = CM_TAG_BYTES;
  readonly #crypto: PacketCrypto;
  readonly #rtpKey: Buffer;
  readonly #rtpSalt: Buffer;
  readonly #rtpAuth: Buffer;
  readonly #rtcpKey: Buffer;
  readonly #rtcpSalt: Buffer;
  readonly #rtcpAuth: Buffer;
  readonly #iv = Buffer.alloc(16);
  readonly #rocWord = Buffer.alloc(4);

  constructor(keys: SrtpKeys, crypto: PacketCrypto) {
    this.#crypto = crypto;
    this.#rtpKey = deriveKey(keys, LABEL.rtpEncryption, 16);
    this.#rtpSalt = deriveKey(keys, LABEL.rtpSalt, 14);
    this.#rtpAuth = deriveKey(keys, LABEL.rtpAuthentication, 20);
    this.#rtcpKey = deriveKey(keys, LABEL.rtcpEncryption, 16);
    this.#rtcpSalt = deriveKey(keys, LABEL.rtcpSalt, 14);
    this.#rtcpAuth = deriveKey(keys, LABEL.rtcpAuthentication, 20);
  }

  sealRtp(
    memory: Buffer,
    at: number,
    headerBytes: number,
    payload: Buffer,
    ssrc: number,
    roc: number,
    sequence: number,
  ): void {
    const iv = this.#rtpIv(ssrc, roc, sequence);
    this.#rocWord.writeUInt32BE(roc);
    this.#crypto.sealCm(this.#rtpKey, iv, this.#rtpAuth, this.#rocWord, memory, at, headerBytes, payload);
  }

  openRtp(packet: Buffer, headerBytes: number, ssrc: number, roc: number, sequence: number): Buffer | undefined {
    const tagAt = packet.length - this.tagBytes;
    if (tagAt < headerBytes) return undefined;
    this.#rocWord.writeUInt32BE(roc);
    // RFC 3711 §4.2: the rollover counter is authenticated, but not sent.
    const tag = this.#tag(this.#rtpAuth, packet.subarray(0, tagAt), this.#rocWord);
    if (!timingSafeEqual(tag, packet.subarray(tagAt))) return undefined;
    const decipher = createDecipheriv('aes-128-ctr', this.#rtpKey, this.#rtpIv(ssrc, roc, sequence));
    return decipher.update(packet.subarray(headerBytes, tagAt));
  }

  sealRtcp(memory: Buffer, at: number, packet: Buffer, index: number): number {
    const iv = this.#rtcpIv(packet.readUInt32BE(4), index);
    packet.copy(memory, at, 0, RTCP_CLEAR_BYTES);
    // RFC 3711 §4.2: authenticated in the place of the rollover counter, it is sent before the tag.
    writeSrtcpWord(this.#rocWord, 0, index);
    const payload = packet.subarray(RTCP_CLEAR_BYTES);
    this.#crypto.sealCm(this.#rtcpKey, iv, this.#rtcpAuth, this.#rocWord, memory, at, RTCP_CLEAR_BYTES, payload);
    const end = at + packet.length;
    memory.copyWithin(end + SRTCP_WORD_BYTES, end, end + this.tagBytes);
    writeSrtcpWord(memory, end, index);
    return packet.length + SRTCP_WORD_BYTES + this.tagBytes;
  }

  openRtcp(packet: Buffer): { packet: Buffer; index: number } | undefined {
    const tagAt = packet.length - this.tagBytes;
    const wordAt = tagAt - SRTCP_WORD_BYTES;
    if (wordAt < RTCP_CLEAR_BYTES || packet.readUInt32BE(wordAt) < E_FLAG) return undefined;
    if (!timingSafeEqual(this.#tag(this.#rtcpAuth, packet.subarray(0, tagAt)), packet.subarray(tagAt)))
      return undefined;
    const index = packet.readUInt32BE(wordAt) & INDEX_MASK;
    const decipher = createDecipheriv('aes-128-ctr', this.#rtcpKey, this.#rtcpIv(packet.readUInt32BE(4), index));
    const clear = decipher.update(packet.subarray(RTCP_CLEAR_BYTES, wordAt));
    return { packet: Buffer.concat([packet.subarray(0, RTCP_CLEAR_BYTES), clear]), index };
  }

  #rtpIv(ssrc: number, roc: number, sequence: number): Buffer {
    // §4.1.1: IV = (salt · 2^16) XOR (SSRC · 2^64) XOR (index · 2^16), where index = ROC · 2^16 + sequence.
    const iv = this.#ivOf(this.#rtpSalt, ssrc);
    xorWord(iv, 8, roc);
    iv.writeUInt16BE(iv.readUInt16BE(12) ^ sequence, 12);
    return iv;
  }

  #rtcpIv(ssrc: number, index: number): Buffer {
    const iv = this.#ivOf(this.#rtcpSalt, ssrc);
    xorWord(iv, 10, index);
    return iv;
  }

  #ivOf(salt: Buffer, ssrc: number): Buffer {
    const iv = this.#iv;
    iv.fill(0);
    iv.set(salt);
    xorWord(iv, 4, ssrc);
    return iv;
  }

  #tag(key: Buffer, ...parts: Buffer[]): Buffer {
    const hmac = createHmac('sha1', key);
    for (const part of parts) hmac.update(part);
    return hmac.digest().subarray(0, this.tagBytes);
  }
}

/** RFC 3711 §4.3.2. */
const LABEL = {
  rtpEncryption: 0,
  rtpAuthentication: 1,
  rtpSalt: 2,
  rtcpEncryption: 3,
  rtcpAuthentication: 4,
  rtcpSalt: 5,
} as const;

/**
 * @returns A session key (RFC 3711 §4.3.1, key derivation rate 0): the AES-CM keystream of the master key, started at the
 * master salt XOR the label. A 96-bit salt is padded to 112 bits with trailing zeros (RFC 7714 §11).
 */
function deriveKey({ masterKey, masterSalt }: SrtpKeys, label: number, bytes: number): Buffer {
  const iv = Buffer.alloc(16);
  iv.set(masterSalt);
  iv.writeUInt8(iv.readUInt8(7) ^ label, 7);
  return createCipheriv('aes-128-ctr', masterKey, iv).update(Buffer.alloc(bytes));
}

/** XORs 32 bits at `at` with `value`, as signed integers: an unsigned one of more than 31 bits would be allocated. */
function xorWord(iv: Buffer, at: number, value: number): void {
  iv.writeInt32BE(iv.readInt32BE(at) ^ value, at);
}

function writeSrtcpWord(memory: Buffer, at: number, index: number): void {
  memory.writeInt32BE(index | E_FLAG, at);
}
