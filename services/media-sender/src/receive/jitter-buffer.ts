/** An Opus packet at its place in the stream. */
export interface BufferedPacket {
  /** Extended sequence number. */
  readonly sequence: number;
  /** Extended timestamp of its first sample, 48 kHz. */
  readonly ticks: number;
  readonly durationTicks: number;
  readonly opus: Buffer;
}

/** The next item of the stream. */
export interface NextPacket {
  readonly packet: BufferedPacket;
  /** Ticks that are missing before it; 0 if it follows directly. */
  readonly missingTicks: number;
  /** Packets that are missing before it; 0 if the sender paused (DTX). */
  readonly missingPackets: number;
}

/** How long a missing packet is waited for, ms: at least until a packet with redundancy may have brought it. */
const LEAST_WAIT_MS = 30;
const MOST_WAIT_MS = 150;
/** Packets that wait behind a missing one; with 10 ms each they are older than {@link MOST_WAIT_MS}. */
const CAPACITY = 32;

/**
 * Puts packets in order. A packet that follows the previous one passes at once, because what is heard is not played but
 * passed on: only a missing packet is waited for, for as long as a retransmission or the network's reordering takes.
 */
export class JitterBuffer {
  /** In order of their sequence numbers. */
  readonly #waiting: BufferedPacket[] = [];
  #next: { readonly sequence: number; readonly ticks: number } | undefined;
  /** When the packet behind the missing one came. */
  #waitingSinceMs = 0;

  /** @returns Whether it is kept: it is neither a duplicate nor too late. */
  put(packet: BufferedPacket, nowMs: number): boolean {
    if (this.#next && packet.sequence < this.#next.sequence) return false;
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1] as BufferedPacket).sequence > packet.sequence) at--;
    if (this.#waiting[at - 1]?.sequence === packet.sequence) return false;
    if (this.#waiting.length === 0) this.#waitingSinceMs = nowMs;
    this.#waiting.splice(at, 0, packet);
    return true;
  }

  /**
   * @param waitMs How long a missing packet is waited for; kept within bounds.
   * @returns The next packet, if it is its turn. To be called until there is none.
   */
  take(nowMs: number, waitMs: number): NextPacket | undefined {
    const [packet] = this.#waiting;
    if (!packet) return undefined;
    const missingPackets = this.#next ? packet.sequence - this.#next.sequence : 0;
    const limitMs = Math.min(MOST_WAIT_MS, Math.max(LEAST_WAIT_MS, waitMs));
    const isOverdue = nowMs - this.#waitingSinceMs >= limitMs || this.#waiting.length > CAPACITY;
    if (missingPackets > 0 && !isOverdue) return undefined;
    const missingTicks = Math.max(0, packet.ticks - (this.#next?.ticks ?? packet.ticks));
    this.#waiting.shift();
    this.#next = { sequence: packet.sequence + 1, ticks: packet.ticks + packet.durationTicks };
    // The next hole has its own time.
    if (missingPackets > 0) this.#waitingSinceMs = nowMs;
    return { packet, missingTicks, missingPackets };
  }

  /** @returns Sequence numbers that are missing now, oldest first, at most `limit`. */
  missing(limit: number): number[] {
    const missing: number[] = [];
    let expected = this.#next?.sequence;
    for (const { sequence } of this.#waiting) {
      for (expected ??= sequence; expected < sequence && missing.length < limit; expected++) missing.push(expected);
      expected = sequence + 1;
    }
    return missing;
  }
}
