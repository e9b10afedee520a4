import type { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';

/** URIs of the header extensions that carry a packet's number or send time for congestion control. */
export const TRANSPORT_SEQUENCE_URI = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
export const ABS_SEND_TIME_URI = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time';

/** Size of one padded element in a one-byte header (RFC 8285 §4.2), equal for both extensions. */
export const EXTENSION_BYTES = 8;
/** No element; an element's id is never 0. */
export const NO_EXTENSION = 0;
const ONE_BYTE_PROFILE = 0xbede;
const LENGTH_WORDS = 1;
/** Data lengths as in the element headers: bytes minus one. */
const TRANSPORT_SEQUENCE_LENGTH = 1;
const SEND_TIME_LENGTH = 2;
/** Network overhead besides the RTP header and payload: IPv4, UDP, TURN channel, this extension, SRTP tag. */
const OVERHEAD_BYTES = 20 + 8 + 4 + EXTENSION_BYTES + 16;

/** Extension ids that the viewer accepts in one media section; a one-byte header allows 1 to 14. */
export interface CongestionExtensionIds {
  readonly transportSequence: number | undefined;
  readonly absSendTime: number | undefined;
}

/**
 * Numbers the packets of a connection in one sequence over all streams that carry the number. A packet carries one extension:
 * its transport-wide sequence number or, for a viewer that estimates by itself, its send time.
 */
export class CongestionExtension {
  readonly #estimator: BandwidthEstimator;
  readonly #nowMs: () => number;

  constructor(estimator: BandwidthEstimator, nowMs: () => number) {
    this.#estimator = estimator;
    this.#nowMs = nowMs;
  }

  /**
   * Writes the extension of a packet about to be sent, and records the packet with the estimator.
   * @param at End of the RTP header.
   * @param bytes Size of header and payload.
   * @returns The element, for {@link repeat}; {@link NO_EXTENSION} if the viewer accepts none.
   */
  write(packet: Buffer, at: number, ids: CongestionExtensionIds, bytes: number, padding: boolean): number {
    const nowMs = this.#nowMs();
    const element =
      ids.transportSequence === undefined
        ? this.#unnumbered(ids.absSendTime, bytes, nowMs)
        : sequenceElement(ids.transportSequence, this.#estimator.packetSent(bytes + OVERHEAD_BYTES, padding, nowMs));
    if (element !== NO_EXTENSION) writeElement(packet, at, element);
    return element;
  }

  /** A packet that cannot carry a number takes none: the viewer would report it lost. */
  #unnumbered(absSendTime: number | undefined, bytes: number, nowMs: number): number {
    this.#estimator.unnumberedPacketSent(bytes + OVERHEAD_BYTES, nowMs);
    return absSendTime === undefined ? NO_EXTENSION : sendTimeElement(absSendTime, nowMs);
  }

  /**
   * Writes the extension of a packet that is sent again unchanged, and records that with the estimator, which then ignores
   * its arrival time.
   * @param element Result of {@link write} for the packet.
   */
  repeat(packet: Buffer, at: number, bytes: number, element: number): void {
    const sequence = transportSequenceOf(element);
    this.#estimator.packetRepeated(sequence, bytes + OVERHEAD_BYTES, this.#nowMs());
    if (element !== NO_EXTENSION) writeElement(packet, at, element);
  }
}

/** @returns The transport-wide sequence number in an element; `undefined` if it has none. */
export function transportSequenceOf(element: number): number | undefined {
  return element !== NO_EXTENSION && ((element >>> 24) & 0xf) === TRANSPORT_SEQUENCE_LENGTH
    ? (element >>> 8) & 0xffff
    : undefined;
}

/** @returns One element and its padding as a 32-bit word (RFC 8285 §4.2). */
function sequenceElement(id: number, sequence: number): number {
  return ((id << 28) | (TRANSPORT_SEQUENCE_LENGTH << 24) | (sequence << 8)) >>> 0;
}

/** @returns The same for the send time, in 6 bits of seconds and 18 bits of fraction. */
function sendTimeElement(id: number, nowMs: number): number {
  const time = Math.floor(((nowMs / 1000) % 64) * 0x40000);
  return ((id << 28) | (SEND_TIME_LENGTH << 24) | time) >>> 0;
}

function writeElement(packet: Buffer, at: number, element: number): void {
  packet.writeUInt16BE(ONE_BYTE_PROFILE, at);
  packet.writeUInt16BE(LENGTH_WORDS, at + 2);
  packet.writeUInt32BE(element, at + 4);
}
