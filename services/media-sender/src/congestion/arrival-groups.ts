/** Packets sent within this belong to one group (draft-ietf-rmcat-gcc-02 §5.2). */
const BURST_MS = 5;
/** A group that is stretched by packets that arrive together ends here. */
const MAX_BURST_MS = 100;
/** An arrival clock that jumps further than this has been set anew. */
const MAX_JUMP_MS = 3000;

interface Group {
  firstSentMs: number;
  lastSentMs: number;
  firstArrivalMs: number;
  lastArrivalMs: number;
}

const empty = (): Group => ({ firstSentMs: -1, lastSentMs: 0, firstArrivalMs: 0, lastArrivalMs: 0 });

/** Puts packets into groups by the time they were sent, and compares each group with the one before. */
export class ArrivalGroups {
  #previous = empty();
  #current = empty();
  /** Between the last two groups, ms; valid after {@link add} returned `true`. */
  sentDeltaMs = 0;
  arrivalDeltaMs = 0;

  /** @returns whether a group is complete that has one to be compared with. */
  add(sentMs: number, arrivalMs: number): boolean {
    const current = this.#current;
    if (current.firstSentMs < 0) {
      this.#start(sentMs, arrivalMs);
      return false;
    }
    // A packet of a group that is complete: it was reordered.
    if (sentMs < current.firstSentMs) return false;
    if (Math.abs(arrivalMs - current.lastArrivalMs) > MAX_JUMP_MS) {
      this.#previous.firstSentMs = -1;
      this.#start(sentMs, arrivalMs);
      return false;
    }
    if (this.#belongs(sentMs, arrivalMs)) {
      current.lastSentMs = Math.max(current.lastSentMs, sentMs);
      current.lastArrivalMs = Math.max(current.lastArrivalMs, arrivalMs);
      return false;
    }
    const previous = this.#previous;
    const comparable = previous.firstSentMs >= 0;
    this.sentDeltaMs = current.lastSentMs - previous.lastSentMs;
    this.arrivalDeltaMs = current.lastArrivalMs - previous.lastArrivalMs;
    this.#previous = current;
    this.#current = previous;
    this.#start(sentMs, arrivalMs);
    // Groups that arrived in another order tell nothing of a queue.
    return comparable && this.arrivalDeltaMs >= 0;
  }

  #belongs(sentMs: number, arrivalMs: number): boolean {
    const { firstSentMs, lastSentMs, firstArrivalMs, lastArrivalMs } = this.#current;
    if (sentMs - firstSentMs <= BURST_MS) return true;
    // Held back on the way and let go together, as Wi-Fi does: one group, whenever they were sent.
    const propagationDeltaMs = arrivalMs - lastArrivalMs - (sentMs - lastSentMs);
    return propagationDeltaMs < 0 && arrivalMs - lastArrivalMs <= BURST_MS && arrivalMs - firstArrivalMs < MAX_BURST_MS;
  }

  #start(sentMs: number, arrivalMs: number): void {
    const group = this.#current;
    group.firstSentMs = sentMs;
    group.lastSentMs = sentMs;
    group.firstArrivalMs = arrivalMs;
    group.lastArrivalMs = arrivalMs;
  }
}
