import { randomBytes, randomInt } from 'node:crypto';
import {
  type CongestionExtension,
  type CongestionExtensionIds,
  EXTENSION_BYTES,
  NO_EXTENSION,
} from './congestion-extension.js';
import type { SentPacket } from './packet-history.js';
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
  /** Added to every timestamp; random by default (RFC 3550 §5.1). A retransmission stream uses its original's. */
  readonly timestampOffset?: number;
  /** Sequence number of the first packet. */
  readonly firstSequence?: number;
  /** Numbers all packets of the connection, and has the extension ids of this stream. */
  readonly congestion?: { readonly extension: CongestionExtension; readonly ids: CongestionExtensionIds };
}

/** One outgoing SSRC: numbers, encrypts and counts packets. */
export class RtpStream {
  readonly ssrc: number;
  readonly timestampOffset: number;
  /** Payload type of its packets, unless one is sent with another. */
  readonly payloadType: number;
  readonly #srtp: SrtpSender;
  readonly #writer: PacketWriter;
  readonly #congestion: RtpStreamOptions['congestion'];
  #sequence: number;
  /** Number of wraps of the sequence number: the upper part of SRTP's packet index (RFC 3711 §3.3.1). */
  #rollovers = 0;
  #packets = 0;
  #octets = 0;
  #extension = NO_EXTENSION;

  constructor(options: RtpStreamOptions) {
    this.ssrc = options.ssrc;
    this.timestampOffset = options.timestampOffset ?? randomBytes(4).readUInt32BE();
    this.payloadType = options.payloadType;
    this.#srtp = options.srtp;
    this.#writer = options.writer;
    this.#congestion = options.congestion;
    // In the lower half, because a receiver that misses the first packets must not miss a wrap (RFC 3711 §3.3.1).
    this.#sequence = options.firstSequence ?? randomInt(1, 0x8000);
  }

  /** Packets sent so far. */
  get packets(): number {
    return this.#packets;
  }

  /** Payload bytes sent so far, without headers (RFC 3550 §6.4.1). */
  get octets(): number {
    return this.#octets;
  }

  /** @returns The RTP timestamp of timeline ticks of any size. */
  timestampOf(ticks: number): number {
    return (ticks + this.timestampOffset) >>> 0;
  }

  /**
   * @param padding Whether the packet is there only to probe the path.
   * @param payloadType Of this packet. Default: the stream's.
   * @returns The packet's sequence number.
   */
  send(payload: Buffer, timestamp: number, marker: boolean, padding = false, payloadType = this.payloadType): number {
    const sequence = this.#sequence;
    const at = this.#begin(payloadType, timestamp, marker, sequence);
    this.#extension = this.#congestion
      ? this.#congestion.extension.write(
          this.#writer.memory,
          at + RTP_HEADER_BYTES,
          this.#congestion.ids,
          RTP_HEADER_BYTES + payload.length,
          padding,
        )
      : NO_EXTENSION;
    this.#finish(at, payload, sequence, this.#rollovers, this.#extension);
    this.#packets++;
    this.#octets += payload.length;
    this.#sequence = (sequence + 1) & 0xffff;
    if (this.#sequence === 0) this.#rollovers++;
    return sequence;
  }

  /** The header extension of the packet sent last, for {@link repeat}. */
  get extension(): number {
    return this.#extension;
  }

  /**
   * Sends the very same packet again. Encrypting it a second time under the same index is safe only because nothing in it
   * has changed (RFC 7714 §8.4), its header extension included.
   */
  repeat({ payload, timestamp, marker, sequence, payloadType, extension }: SentPacket): void {
    const rollovers = sequence < this.#sequence ? this.#rollovers : this.#rollovers - 1;
    const at = this.#begin(payloadType, timestamp, marker, sequence);
    const bytes = RTP_HEADER_BYTES + payload.length;
    this.#congestion?.extension.repeat(this.#writer.memory, at + RTP_HEADER_BYTES, bytes, extension);
    this.#finish(at, payload, sequence, rollovers, extension);
  }

  /** Writes the header. @returns Where in the writer's memory it begins. */
  #begin(payloadType: number, timestamp: number, marker: boolean, sequence: number): number {
    const at = this.#writer.begin();
    const { memory } = this.#writer;
    memory[at] = VERSION_BITS;
    memory[at + 1] = marker ? payloadType | MARKER_BIT : payloadType;
    memory.writeUInt16BE(sequence, at + 2);
    memory.writeUInt32BE(timestamp, at + 4);
    memory.writeUInt32BE(this.ssrc, at + 8);
    return at;
  }

  #finish(at: number, payload: Buffer, sequence: number, rollovers: number, extension: number): void {
    const { memory } = this.#writer;
    let headerBytes = RTP_HEADER_BYTES;
    if (extension !== NO_EXTENSION) {
      memory[at] = VERSION_BITS | EXTENSION_BIT;
      headerBytes += EXTENSION_BYTES;
    }
    this.#writer.send(this.#srtp.protectRtp(memory, at, headerBytes, payload, this.ssrc, rollovers, sequence));
  }
}
