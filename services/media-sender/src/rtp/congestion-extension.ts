import type { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';

/** The header extensions that tell a viewer's estimator, or ours, when a packet left. */
export const TRANSPORT_SEQUENCE_URI = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
export const ABS_SEND_TIME_URI = 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time';

/** One element in a one-byte header, padded (RFC 8285 §4.2): the same size for both. */
export const EXTENSION_BYTES = 8;
/** Stands for "none" where an element is expected, whose id is never 0. */
export const NO_EXTENSION = 0;
const ONE_BYTE_PROFILE = 0xbede;
const LENGTH_WORDS = 1;
/** Lengths of the elements' data as their headers have them: bytes less one. */
const TRANSPORT_SEQUENCE_LENGTH = 1;
const SEND_TIME_LENGTH = 2;
/** What the network carries besides an RTP header and its payload: IPv4, UDP, a TURN channel, this extension, SRTP's tag. */
const OVERHEAD_BYTES = 20 + 8 + 4 + EXTENSION_BYTES + 16;

/** Ids that the viewer takes for a section's packets; a one-byte header has 1 to 14. */
export interface CongestionExtensionIds {
  readonly transportSequence: number | undefined;
  readonly absSendTime: number | undefined;
}

/**
 * Numbers and times all packets of a connection, whatever their stream. A packet carries one extension: its transport-wide
 * sequence number or, for a viewer that only estimates by itself, its time of sending.
 */
export class CongestionExtension {
  readonly #estimator: BandwidthEstimator;
  readonly #nowMs: () => number;

  constructor(estimator: BandwidthEstimator, nowMs: () => number) {
    this.#estimator = estimator;
    this.#nowMs = nowMs;
  }

  /**
   * Writes the extension of a packet that leaves now, and remembers the packet.
   * @param at where the RTP header ends.
   * @param bytes of header and payload.
   * @returns its element, by which {@link repeat} writes it again; {@link NO_EXTENSION} where the viewer takes none.
   */
  write(packet: Buffer, at: number, ids: CongestionExtensionIds, bytes: number, padding: boolean): number {
    const nowMs = this.#nowMs();
    const sequence = this.#estimator.packetSent(bytes + OVERHEAD_BYTES, padding, nowMs);
    const element = elementOf(ids, sequence, nowMs);
    if (element !== NO_EXTENSION) writeElement(packet, at, element);
    return element;
  }

  /**
   * Writes the extension of a packet that leaves once more as it was, and tells the estimator, which learns nothing from when
   * that arrives.
   * @param element what {@link write} has returned for the packet.
   */
  repeat(packet: Buffer, at: number, bytes: number, element: number): void {
    const sequence = transportSequenceOf(element);
    this.#estimator.packetRepeated(sequence, bytes + OVERHEAD_BYTES, this.#nowMs());
    if (element !== NO_EXTENSION) writeElement(packet, at, element);
  }
}

/** @returns the transport-wide sequence number in an element; `undefined` if it has none. */
export function transportSequenceOf(element: number): number | undefined {
  return element !== NO_EXTENSION && ((element >>> 24) & 0xf) === TRANSPORT_SEQUENCE_LENGTH
    ? (element >>> 8) & 0xffff
    : undefined;
}

/** @returns one element and its padding as a 32-bit word (RFC 8285 §4.2). */
function elementOf(
  { transportSequence, absSendTime }: CongestionExtensionIds,
  sequence: number,
  nowMs: number,
): number {
  if (transportSequence !== undefined)
    return ((transportSequence << 28) | (TRANSPORT_SEQUENCE_LENGTH << 24) | (sequence << 8)) >>> 0;
  if (absSendTime === undefined) return NO_EXTENSION;
  // 6 bits of seconds and 18 of their fraction.
  const time = Math.floor(((nowMs / 1000) % 64) * 0x40000);
  return ((absSendTime << 28) | (SEND_TIME_LENGTH << 24) | time) >>> 0;
}

function writeElement(packet: Buffer, at: number, element: number): void {
  packet.writeUInt16BE(ONE_BYTE_PROFILE, at);
  packet.writeUInt16BE(LENGTH_WORDS, at + 2);
  packet.writeUInt32BE(element, at + 4);
}
