/** Packets sent within this interval form one group (draft-ietf-rmcat-gcc-02 §5.2). */
const BURST_MS = 5;
/** Maximum duration of a group that is extended by packets arriving together. */
const MAX_BURST_MS = 100;
/** A larger jump means that the receiver's clock was reset. */
const MAX_JUMP_MS = 3000;

interface Group {
  firstSentMs: number;
  lastSentMs: number;
  firstArrivalMs: number;
  lastArrivalMs: number;
}

const empty = (): Group => ({ firstSentMs: -1, lastSentMs: 0, firstArrivalMs: 0, lastArrivalMs: 0 });

/** Groups packets by send time and compares each group with the previous one. */
export class ArrivalGroups {
  #previous = empty();
  #current = empty();
  /** Interval between the last two groups, ms; valid after {@link add} returned `true`. */
  sentDeltaMs = 0;
  arrivalDeltaMs = 0;

  /** @returns Whether a group is complete and has a previous one to be compared with. */
  add(sentMs: number, arrivalMs: number): boolean {
    const current = this.#current;
    if (current.firstSentMs < 0) {
      this.#start(sentMs, arrivalMs);
      return false;
    }
    // A reordered packet of an earlier group.
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
    // Reordered groups say nothing about a queue.
    return comparable && this.arrivalDeltaMs >= 0;
  }

  #belongs(sentMs: number, arrivalMs: number): boolean {
    const { firstSentMs, lastSentMs, firstArrivalMs, lastArrivalMs } = this.#current;
    if (sentMs - firstSentMs <= BURST_MS) return true;
    // Packets held back on the path and released together, as by Wi-Fi, form one group regardless of their send times.
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
