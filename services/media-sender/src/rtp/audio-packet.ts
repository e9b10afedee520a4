import { MAX_PAYLOAD_BYTES } from './payload-size.js';

/** Maximum number of earlier packets that one packet repeats. */
const MAX_REDUNDANCY = 2;
/** A redundant block's header has 4 bytes, the primary block's 1 (RFC 2198 §3). */
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
 * An Opus packet, alone or with the packets before it as redundancy (RED, RFC 2198). Each form is built once, for the first
 * viewer that needs it, and shared by all viewers.
 */
export class AudioPacket {
  readonly opus: Buffer;
  /** Timeline position of its first sample, 48 kHz; may exceed 32 bits. */
  readonly ticks: number;
  /** Earlier packets, newest first. They do not refer to the packets before them. */
  readonly #earlier: readonly Block[];
  /** RED payloads by payload type of Opus and number of repeated packets. */
  #forms: Map<number, Buffer> | undefined;

  /** @param previous The packet that was sent before this one, if any. */
  constructor(opus: Buffer, ticks: number, previous?: AudioPacket) {
    this.opus = opus;
    this.ticks = ticks;
    this.#earlier = previous
      ? [{ opus: previous.opus, ticks: previous.ticks }, ...previous.#earlier.slice(0, MAX_REDUNDANCY - 1)]
      : [];
  }

  /**
   * @param payloadType The viewer's payload type for Opus.
   * @param depth Number of earlier packets wanted, 0 to 2; those that are not {@link repeatable} are omitted.
   * @returns The RED payload; `undefined` if there is nothing to repeat, because {@link opus} alone is shorter.
   */
  red(payloadType: number, depth: number): Buffer | undefined {
    const count = this.repeatable(depth);
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

  /** @returns How many of the earlier packets can be repeated, up to `depth`. */
  repeatable(depth: number): number {
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
