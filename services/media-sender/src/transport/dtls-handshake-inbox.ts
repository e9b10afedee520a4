/** Types of handshake messages (RFC 5246 §7.4, RFC 6347 §4.3.2). */
export const HANDSHAKE = {
  clientHello: 1,
  helloVerifyRequest: 3,
  certificate: 11,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

const HANDSHAKE_HEADER_BYTES = 12;
/**
 * Maximum length of a reassembled message. A post-quantum ClientHello has 1.5–2 kB, a certificate with an RSA key of 4096
 * bits 1.3 kB.
 */
export const MAX_MESSAGE_BYTES = 16_384;
/** Maximum distance of a message from the next expected one; a client's longest flight has four messages. */
const MAX_MESSAGES_AHEAD = 4;

export interface HandshakeMessage {
  readonly type: number;
  readonly sequence: number;
  readonly body: Buffer;
}

interface PartialMessage {
  readonly type: number;
  readonly body: Buffer;
  /** 1 for each byte of the body that has arrived. */
  readonly received: Uint8Array;
  missing: number;
}

export interface Arrival {
  /** The record was malformed or exceeded a limit. */
  readonly invalid: boolean;
  /** The end of the last message that was taken came again: the other end has missed our answer (RFC 6347 §4.2.4). */
  readonly repeated: boolean;
}

interface Fragment {
  readonly type: number;
  readonly length: number;
  readonly sequence: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/**
 * Reassembles messages in order from fragments in any order (RFC 6347 §4.2.2, §4.2.3). It keeps at most five messages of 16
 * KiB, each with a mask of the same size; the work is proportional to the bytes received.
 */
export class HandshakeInbox {
  readonly #partial = new Map<number, PartialMessage>();
  #next = 0;
  #lastType = 0;

  /** @param record the plaintext of one record, with one fragment or more. @param epoch the record's epoch. */
  add(record: Buffer, epoch: number): Arrival {
    let invalid = false;
    let repeated = false;
    for (let at = 0; at < record.length; ) {
      const fragment = readFragment(record, at);
      if (!fragment) return { invalid: true, repeated };
      at += HANDSHAKE_HEADER_BYTES + fragment.bytes.length;
      if (this.#isRepetition(fragment, epoch)) repeated = true;
      else if (fragment.sequence >= this.#next && !this.#keep(fragment, epoch)) invalid = true;
    }
    return { invalid, repeated };
  }

  /** @returns the next message in order; `undefined` until it is complete. */
  take(): HandshakeMessage | undefined {
    const message = this.#partial.get(this.#next);
    if (!message || message.missing > 0) return undefined;
    this.#partial.delete(this.#next);
    this.#lastType = message.type;
    return { type: message.type, sequence: this.#next++, body: message.body };
  }

  #isRepetition({ type, length, sequence, offset, bytes }: Fragment, epoch: number): boolean {
    const isLast = sequence === this.#next - 1 && type === this.#lastType && offset + bytes.length === length;
    return isLast && isExpectedEpoch(type, epoch);
  }

  #keep({ type, length, sequence, offset, bytes }: Fragment, epoch: number): boolean {
    if (sequence > this.#next + MAX_MESSAGES_AHEAD || !isExpectedEpoch(type, epoch)) return false;
    let message = this.#partial.get(sequence);
    if (!message) {
      message = { type, body: Buffer.alloc(length), received: new Uint8Array(length), missing: length };
      this.#partial.set(sequence, message);
    }
    if (message.type !== type || message.body.length !== length) return false;
    for (let i = 0; i < bytes.length; i++) {
      if (message.received[offset + i] === 1) continue;
      message.received[offset + i] = 1;
      message.body[offset + i] = bytes[i] ?? 0;
      message.missing--;
    }
    return true;
  }
}

/** @returns the message as one fragment, which is also its form in the transcript (RFC 6347 §4.2.6). */
export function writeMessage({ type, sequence, body }: HandshakeMessage): Buffer {
  const message = Buffer.alloc(HANDSHAKE_HEADER_BYTES + body.length);
  message.writeUInt8(type, 0);
  message.writeUIntBE(body.length, 1, 3);
  message.writeUInt16BE(sequence, 4);
  message.writeUIntBE(0, 6, 3);
  message.writeUIntBE(body.length, 9, 3);
  body.copy(message, HANDSHAKE_HEADER_BYTES);
  return message;
}

/** @returns `undefined` if the fragment exceeds its record, its message or the limit of messages. */
function readFragment(record: Buffer, at: number): Fragment | undefined {
  const start = at + HANDSHAKE_HEADER_BYTES;
  if (start > record.length) return undefined;
  const length = record.readUIntBE(at + 1, 3);
  const offset = record.readUIntBE(at + 6, 3);
  const end = start + record.readUIntBE(at + 9, 3);
  if (end > record.length || length > MAX_MESSAGE_BYTES || offset + (end - start) > length) return undefined;
  if (end === start && length > 0) return undefined;
  return {
    type: record.readUInt8(at),
    length,
    sequence: record.readUInt16BE(at + 4),
    offset,
    bytes: record.subarray(start, end),
  };
}

/** Only Finished follows ChangeCipherSpec. */
function isExpectedEpoch(type: number, epoch: number): boolean {
  return epoch === (type === HANDSHAKE.finished ? 1 : 0);
}
