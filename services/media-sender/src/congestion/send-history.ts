/** Number of remembered packets: 3.4 s at 5 Mb/s. A power of two. */
const HISTORY_PACKETS = 2048;
const MASK = HISTORY_PACKETS - 1;

const IN_FLIGHT = 0;
const RECEIVED = 1;
const REPORTED_LOST = 2;

/** The feedback about a packet; `unknown` if it was never sent or is no longer remembered. */
export type PacketFate = 'in-flight' | 'received' | 'lost' | 'unknown';
const FATES: readonly PacketFate[] = ['in-flight', 'received', 'lost'];

/** Cluster of packets that belong to no probe. */
export const NO_CLUSTER = 0;

/**
 * The latest packets of one connection by transport-wide sequence number: send time, size, and what the viewer has reported.
 * Memory use is constant.
 */
export class SendHistory {
  readonly #sentAtMs = new Float64Array(HISTORY_PACKETS);
  readonly #bytes = new Uint16Array(HISTORY_PACKETS);
  readonly #state = new Uint8Array(HISTORY_PACKETS);
  readonly #cluster = new Uint16Array(HISTORY_PACKETS);
  #sent = 0;

  /** @returns The packet's transport-wide sequence number, 16 bits. */
  remember(bytes: number, nowMs: number, cluster: number): number {
    const i = this.#sent & MASK;
    this.#sentAtMs[i] = nowMs;
    this.#bytes[i] = bytes;
    this.#state[i] = IN_FLIGHT;
    this.#cluster[i] = cluster;
    return this.#sent++ & 0xffff;
  }

  /** @returns The packet's slot; −1 if it was never sent or is no longer remembered. */
  find(sequence: number): number {
    const back = (this.#sent - 1 - sequence) & 0xffff;
    if (back >= HISTORY_PACKETS || back >= this.#sent) return -1;
    return (this.#sent - 1 - back) & MASK;
  }

  sentAtMs(slot: number): number {
    return this.#sentAtMs[slot] ?? 0;
  }

  bytes(slot: number): number {
    return this.#bytes[slot] ?? 0;
  }

  cluster(slot: number): number {
    return this.#cluster[slot] ?? NO_CLUSTER;
  }

  fate(slot: number): PacketFate {
    return FATES[this.#state[slot] ?? -1] ?? 'unknown';
  }

  /** @returns Whether this is new: a packet is received once. */
  markReceived(slot: number): boolean {
    if (this.#state[slot] === RECEIVED) return false;
    this.#state[slot] = RECEIVED;
    return true;
  }

  /** @returns Whether this is new: a packet is reported lost once, and never after it was received. */
  markLost(slot: number): boolean {
    if (this.#state[slot] !== IN_FLIGHT) return false;
    this.#state[slot] = REPORTED_LOST;
    return true;
  }
}
