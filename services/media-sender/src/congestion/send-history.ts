/** Packets that are remembered: 3.4 s of 5 Mb/s. A power of two. */
const HISTORY_PACKETS = 2048;
const MASK = HISTORY_PACKETS - 1;

const IN_FLIGHT = 0;
const RECEIVED = 1;
const REPORTED_LOST = 2;

/** What the viewer has said about a packet; `unknown`: it was never sent, or is forgotten. */
export type PacketFate = 'in-flight' | 'received' | 'lost' | 'unknown';
const FATES: readonly PacketFate[] = ['in-flight', 'received', 'lost'];

/** No probe. */
export const NO_CLUSTER = 0;

/**
 * The latest packets of one connection by transport-wide sequence number: when each left, its size, and what the viewer has
 * said about it. Its memory is constant.
 */
export class SendHistory {
  readonly #sentAtMs = new Float64Array(HISTORY_PACKETS);
  readonly #bytes = new Uint16Array(HISTORY_PACKETS);
  readonly #state = new Uint8Array(HISTORY_PACKETS);
  readonly #cluster = new Uint16Array(HISTORY_PACKETS);
  #sent = 0;

  /** @returns the packet's transport-wide sequence number, 16 bits. */
  remember(bytes: number, nowMs: number, cluster: number): number {
    const i = this.#sent & MASK;
    this.#sentAtMs[i] = nowMs;
    this.#bytes[i] = bytes;
    this.#state[i] = IN_FLIGHT;
    this.#cluster[i] = cluster;
    return this.#sent++ & 0xffff;
  }

  /** @returns the packet's slot; −1 for one that was never sent or is forgotten. */
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

  /** @returns whether this is news: a packet is received once. */
  markReceived(slot: number): boolean {
    if (this.#state[slot] === RECEIVED) return false;
    this.#state[slot] = RECEIVED;
    return true;
  }

  /** @returns whether this is news: a packet is reported lost once, and never after it was received. */
  markLost(slot: number): boolean {
    if (this.#state[slot] !== IN_FLIGHT) return false;
    this.#state[slot] = REPORTED_LOST;
    return true;
  }
}
