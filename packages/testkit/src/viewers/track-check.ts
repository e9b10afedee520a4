import type { TrackKind } from './receiver.js';

/** RTP ticks of one Opus packet: 20 ms at 48 kHz (RFC 7587 §4.2). */
const AUDIO_STEP_TICKS = 960;
/** Distance below which an older sequence number counts as late. */
const LATE_WINDOW = 1000;
const MEMORY = 2048;

export interface TrackFaults {
  packets: number;
  /** Sequence numbers that never arrived. */
  lost: number;
  /** Packets that arrived after a later one. */
  reordered: number;
  duplicates: number;
  /** Timestamps that went back, or audio timestamps that did not advance by whole packets. */
  badTimestamps: number;
  /** Timestamp ticks that were never sent, because the host paused. */
  skippedTicks: number;
}

/** Checks one track of one connection: sequence numbers without gaps, and timestamps that advance correctly. */
export class TrackCheck {
  readonly faults: TrackFaults = {
    packets: 0,
    lost: 0,
    reordered: 0,
    duplicates: 0,
    badTimestamps: 0,
    skippedTicks: 0,
  };
  readonly #kind: TrackKind;
  readonly #seen = new Set<number>();
  /** Highest unwrapped sequence number. */
  #highest: number | undefined;
  #timestamp = 0;

  constructor(kind: TrackKind) {
    this.#kind = kind;
  }

  add(sequence: number, timestamp: number): void {
    this.faults.packets++;
    if (this.#highest === undefined) {
      this.#highest = sequence;
      this.#timestamp = timestamp;
      this.#seen.add(sequence);
      return;
    }
    const index = this.#highest + (((sequence - this.#highest) << 16) >> 16);
    if (this.#seen.has(index)) {
      this.faults.duplicates++;
      return;
    }
    this.#remember(index);
    if (index <= this.#highest) {
      this.faults.reordered++;
      if (this.#highest - index < LATE_WINDOW) this.faults.lost--;
      return;
    }
    const steps = index - this.#highest;
    this.faults.lost += steps - 1;
    this.#checkTimestamp((timestamp - this.#timestamp) | 0, steps);
    this.#highest = index;
    this.#timestamp = timestamp;
  }

  #checkTimestamp(ticks: number, steps: number): void {
    if (this.#kind === 'video') {
      if (ticks < 0) this.faults.badTimestamps++;
      return;
    }
    const extra = ticks - steps * AUDIO_STEP_TICKS;
    if (extra < 0 || extra % AUDIO_STEP_TICKS !== 0) this.faults.badTimestamps++;
    else this.faults.skippedTicks += extra;
  }

  #remember(index: number): void {
    this.#seen.add(index);
    const [oldest] = this.#seen;
    if (this.#seen.size > MEMORY && oldest !== undefined) this.#seen.delete(oldest);
  }
}
