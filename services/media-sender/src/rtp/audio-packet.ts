import { MAX_PAYLOAD_BYTES } from './payload-size.js';

/** The most earlier packets that one packet repeats. */
const MAX_REDUNDANCY = 2;
/** A redundant block's header is 4 bytes, the primary one's is 1 (RFC 2198 §3). */
const REDUNDANT_HEADER_BYTES = 4;
const PRIMARY_HEADER_BYTES = 1;
const FOLLOWED_BIT = 0x80;
/** A header has 14 bits for a block's age and 10 for its length. */
const MAX_AGE_TICKS = 0x3fff;
const MAX_BLOCK_BYTES = 0x3ff;

interface Block {
  readonly opus: Buffer;
  readonly ticks: number;
}

/**
 * An Opus packet, by itself and with the packets before it repeated (RED, RFC 2198). Each form is made once, when the first
 * viewer needs it, and shared by all viewers.
 */
export class AudioPacket {
  readonly opus: Buffer;
  /** The first sample on the timeline, 48 kHz; may grow beyond 32 bits. */
  readonly ticks: number;
  /** The newest first. They do not refer to the packets before them. */
  readonly #earlier: readonly Block[];
  /** By payload type of Opus and count of repeated packets. */
  #forms: Map<number, Buffer> | undefined;

  /** @param previous the packet that was sent before this one, if any. */
  constructor(opus: Buffer, ticks: number, previous?: AudioPacket) {
    this.opus = opus;
    this.ticks = ticks;
    this.#earlier = previous
      ? [{ opus: previous.opus, ticks: previous.ticks }, ...previous.#earlier.slice(0, MAX_REDUNDANCY - 1)]
      : [];
  }

  /**
   * @param payloadType that the viewer knows Opus by.
   * @param depth how many earlier packets are wanted, 0 to 2.
   * @returns the RED payload; `undefined` when there is nothing to repeat, and {@link opus} alone is shorter.
   */
  red(payloadType: number, depth: number): Buffer | undefined {
    const count = this.#repeatable(depth);
    if (count === 0) return undefined;
    const key = payloadType * (MAX_REDUNDANCY + 1) + count;
    let form = this.#forms?.get(key);
    if (!form) {
      form = this.#write(payloadType, count);
      this.#forms ??= new Map();
      this.#forms.set(key, form);
    }
    return form;
  }

  /** @returns how many of the earlier packets can be repeated, up to `depth`. */
  #repeatable(depth: number): number {
    let bytes = PRIMARY_HEADER_BYTES + this.opus.length;
    let count = 0;
    for (; count < depth; count++) {
      const block = this.#earlier[count];
      if (!block || block.opus.length > MAX_BLOCK_BYTES || this.ticks - block.ticks > MAX_AGE_TICKS) break;
      bytes += REDUNDANT_HEADER_BYTES + block.opus.length;
      if (bytes > MAX_PAYLOAD_BYTES) break;
    }
    return count;
  }

  #write(payloadType: number, count: number): Buffer {
    const earlier = this.#earlier.slice(0, count).reverse();
    const bodyBytes = earlier.reduce((sum, { opus }) => sum + opus.length, this.opus.length);
    const payload = Buffer.allocUnsafe(count * REDUNDANT_HEADER_BYTES + PRIMARY_HEADER_BYTES + bodyBytes);
    let at = 0;
    for (const { opus, ticks } of earlier) {
      at = payload.writeUInt8(FOLLOWED_BIT | payloadType, at);
      at = payload.writeUIntBE(((this.ticks - ticks) << 10) | opus.length, at, 3);
    }
    at = payload.writeUInt8(payloadType, at);
    for (const { opus } of earlier) at += opus.copy(payload, at);
    this.opus.copy(payload, at);
    return payload;
  }
}
