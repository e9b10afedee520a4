export interface SentPacket {
  readonly sequence: number;
  readonly payload: Buffer;
  readonly timestamp: number;
  readonly marker: boolean;
  readonly payloadType: number;
  /** The packet's header extension element; 0 if it has none. */
  readonly extension: number;
  /** Its picture id, which must be written into the shared payload again; {@link NO_PICTURE_ID} if it has none. */
  readonly pictureId: number;
}

export const NO_PICTURE_ID = 0xffff;

/**
 * The latest packets of a stream, for retransmission. It refers to the payloads, which all viewers share, and overwrites the
 * oldest packets.
 */
export class PacketHistory {
  readonly #indexMask: number;
  readonly #payloads: (Buffer | undefined)[];
  readonly #sequences: Uint16Array;
  readonly #timestamps: Uint32Array;
  readonly #markers: Uint8Array;
  readonly #payloadTypes: Uint8Array;
  readonly #extensions: Uint32Array;
  readonly #pictureIds: Uint16Array;
  readonly #repeatedAtMs: Float64Array;

  /** @param size A power of two. */
  constructor(size: number) {
    this.#indexMask = size - 1;
    this.#payloads = new Array<Buffer | undefined>(size).fill(undefined);
    this.#sequences = new Uint16Array(size);
    this.#timestamps = new Uint32Array(size);
    this.#markers = new Uint8Array(size);
    this.#payloadTypes = new Uint8Array(size);
    this.#extensions = new Uint32Array(size);
    this.#pictureIds = new Uint16Array(size);
    this.#repeatedAtMs = new Float64Array(size);
  }

  remember(
    sequence: number,
    payload: Buffer,
    timestamp: number,
    marker: boolean,
    payloadType: number,
    extension: number,
    pictureId: number,
  ): void {
    const i = sequence & this.#indexMask;
    this.#payloads[i] = payload;
    this.#sequences[i] = sequence;
    this.#timestamps[i] = timestamp;
    this.#markers[i] = marker ? 1 : 0;
    this.#payloadTypes[i] = payloadType;
    this.#extensions[i] = extension;
    this.#pictureIds[i] = pictureId;
    this.#repeatedAtMs[i] = Number.NEGATIVE_INFINITY;
  }

  find(sequence: number): SentPacket | undefined {
    const i = sequence & this.#indexMask;
    const payload = this.#payloads[i];
    if (payload === undefined || this.#sequences[i] !== sequence) return undefined;
    return {
      sequence,
      payload,
      timestamp: this.#timestamps[i] ?? 0,
      marker: this.#markers[i] === 1,
      payloadType: this.#payloadTypes[i] ?? 0,
      extension: this.#extensions[i] ?? 0,
      pictureId: this.#pictureIds[i] ?? NO_PICTURE_ID,
    };
  }

  /** @returns The time of the packet's last retransmission, by the caller's clock; -∞ if there was none. */
  repeatedAtMs(sequence: number): number {
    return this.#repeatedAtMs[sequence & this.#indexMask] ?? Number.NEGATIVE_INFINITY;
  }

  markRepeated(sequence: number, nowMs: number): void {
    this.#repeatedAtMs[sequence & this.#indexMask] = nowMs;
  }
}
