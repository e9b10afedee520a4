import { randomBytes, randomInt } from 'node:crypto';
import { type CongestionExtension, type CongestionExtensionIds, EXTENSION_BYTES } from './congestion-extension.js';
import type { PacketWriter } from './packet-writer.js';
import type { SrtpSender } from './srtp.js';

/** Version 2, no padding, extension or contributing sources (RFC 3550 §5.1). */
const VERSION_BITS = 0x80;
const EXTENSION_BIT = 0x10;
const MARKER_BIT = 0x80;
export const RTP_HEADER_BYTES = 12;

export interface RtpStreamOptions {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly srtp: SrtpSender;
  readonly writer: PacketWriter;
  /** Added to every timestamp; random by default (RFC 3550 §5.1). A retransmission stream takes its original's. */
  readonly timestampOffset?: number;
  /** Of the first packet. */
  readonly firstSequence?: number;
  /** What counts all packets of the connection, and the ids of its extensions in this stream. */
  readonly congestion?: { readonly extension: CongestionExtension; readonly ids: CongestionExtensionIds };
}

/** One outgoing SSRC: numbers, encrypts and counts packets. */
export class RtpStream {
  readonly ssrc: number;
  readonly timestampOffset: number;
  readonly #payloadType: number;
  readonly #srtp: SrtpSender;
  readonly #writer: PacketWriter;
  readonly #congestion: RtpStreamOptions['congestion'];
  #sequence: number;
  /** How often the sequence number has wrapped: the upper half of SRTP's packet index (RFC 3711 §3.3.1). */
  #rollovers = 0;
  #packets = 0;
  #octets = 0;

  constructor(options: RtpStreamOptions) {
    this.ssrc = options.ssrc;
    this.timestampOffset = options.timestampOffset ?? randomBytes(4).readUInt32BE();
    this.#payloadType = options.payloadType;
    this.#srtp = options.srtp;
    this.#writer = options.writer;
    this.#congestion = options.congestion;
    // From the lower half: a receiver that misses the first packets must not have missed a wrap (RFC 3711 §3.3.1).
    this.#sequence = options.firstSequence ?? randomInt(1, 0x8000);
  }

  /** Sent so far. */
  get packets(): number {
    return this.#packets;
  }

  /** Payload sent so far, without headers (RFC 3550 §6.4.1). */
  get octets(): number {
    return this.#octets;
  }

  /** Timeline ticks of any size → RTP timestamp. */
  timestampOf(ticks: number): number {
    return (ticks + this.timestampOffset) >>> 0;
  }

  /**
   * @param padding the packet is there only to probe the path.
   * @returns the packet's sequence number.
   */
  send(payload: Buffer, timestamp: number, marker: boolean, padding = false): number {
    const sequence = this.#sequence;
    this.#write(payload, timestamp, marker, sequence, this.#rollovers, padding);
    this.#packets++;
    this.#octets += payload.length;
    this.#sequence = (sequence + 1) & 0xffff;
    if (this.#sequence === 0) this.#rollovers++;
    return sequence;
  }

  /**
   * The very same packet again. Encrypting it a second time under the same index is safe only because nothing in it has
   * changed (RFC 7714 §8.4).
   */
  repeat(payload: Buffer, timestamp: number, marker: boolean, sequence: number): void {
    const rollovers = sequence < this.#sequence ? this.#rollovers : this.#rollovers - 1;
    this.#write(payload, timestamp, marker, sequence, rollovers, false);
  }

  #write(
    payload: Buffer,
    timestamp: number,
    marker: boolean,
    sequence: number,
    rollovers: number,
    padding: boolean,
  ): void {
    const packet = this.#writer.memory();
    packet[0] = VERSION_BITS;
    packet[1] = marker ? this.#payloadType | MARKER_BIT : this.#payloadType;
    packet.writeUInt16BE(sequence, 2);
    packet.writeUInt32BE(timestamp, 4);
    packet.writeUInt32BE(this.ssrc, 8);
    const headerBytes = RTP_HEADER_BYTES + this.#writeExtension(packet, payload.length, padding);
    const bytes = this.#srtp.protectRtp(packet, headerBytes, payload, this.ssrc, rollovers, sequence);
    this.#writer.send(bytes);
  }

  /** @returns the bytes that it takes. */
  #writeExtension(packet: Buffer, payloadBytes: number, padding: boolean): number {
    if (!this.#congestion) return 0;
    const { extension, ids } = this.#congestion;
    if (!extension.write(packet, RTP_HEADER_BYTES, ids, RTP_HEADER_BYTES + payloadBytes, padding)) return 0;
    packet[0] = VERSION_BITS | EXTENSION_BIT;
    return EXTENSION_BYTES;
  }
}
