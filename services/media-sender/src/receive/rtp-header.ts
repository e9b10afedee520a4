const FIXED_BYTES = 12;
const CSRC_BYTES = 4;
const EXTENSION_HEADER_BYTES = 4;
const VERSION = 2;
const EXTENSION_BIT = 0x10;
const PADDING_BIT = 0x20;

/** The fields of an RTP header that a receiver needs (RFC 3550 §5.1). */
export interface RtpHeader {
  readonly payloadType: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  /** Length of the header with its CSRCs and extension; at most that of the packet. */
  readonly bytes: number;
  readonly isPadded: boolean;
}

/** @returns Whether a datagram that is neither STUN nor DTLS is RTCP (RFC 5761 §4). */
export function isRtcp(packet: Buffer): boolean {
  const type = packet[1] ?? 0;
  return type >= 192 && type <= 223;
}

/** @returns `undefined` if it is no RTP, or ends within its header. */
export function readRtpHeader(packet: Buffer): RtpHeader | undefined {
  if (packet.length < FIXED_BYTES) return undefined;
  const flags = packet.readUInt8(0);
  if (flags >> 6 !== VERSION) return undefined;
  let bytes = FIXED_BYTES + CSRC_BYTES * (flags & 0x0f);
  if (flags & EXTENSION_BIT) {
    if (packet.length < bytes + EXTENSION_HEADER_BYTES) return undefined;
    bytes += EXTENSION_HEADER_BYTES + 4 * packet.readUInt16BE(bytes + 2);
  }
  if (packet.length < bytes) return undefined;
  return {
    payloadType: packet.readUInt8(1) & 0x7f,
    sequence: packet.readUInt16BE(2),
    timestamp: packet.readUInt32BE(4),
    ssrc: packet.readUInt32BE(8),
    bytes,
    isPadded: (flags & PADDING_BIT) !== 0,
  };
}

/** @returns The payload without its padding (RFC 3550 §5.1); `undefined` if the padding's length is impossible. */
export function withoutPadding(payload: Buffer): Buffer | undefined {
  const padding = payload.at(-1) ?? 0;
  return padding >= 1 && padding <= payload.length ? payload.subarray(0, payload.length - padding) : undefined;
}
