import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Looks at the load this often. */
const INTERVAL_MS = 1000;
/** Event-loop delay above which nothing new is taken: packets begin to be late. */
const BUSY_DELAY_MS = 15;
/** And below which it is taken again. Apart, so that it does not flap. */
const CALM_DELAY_MS = 8;
const PERCENTILE = 95;
/** The share of packets that leave this late or later, above which nothing new is taken, and below which it is again. */
export const LATE_MS = 10;
const BUSY_LATE_SHARE = 0.05;
const CALM_LATE_SHARE = 0.01;
/** With fewer of its places taken, it is not its sessions that keep the process busy. */
const PLACES_TO_MATTER = 0.25;
const RESOLUTION_MS = 5;
const NANOSECONDS_PER_MS = 1e6;

/** What has been sent so far. */
export interface Paced {
  readonly packets: number;
  /** Of those, later than {@link LATE_MS} after their deadline. */
  readonly late: number;
}

export interface AdmissionOptions {
  /** Stop or start taking sessions. */
  onChange: (open: boolean) => void;
  /** Still too busy, at each look. */
  onBusy: () => void;
  /** Places taken, 0 to 1. */
  used: () => number;
  /** Packets of all sessions, ever counting up. */
  paced: () => Paced;
  /** Event-loop delay of the last interval, ms; measured unless given. */
  measure?: () => number;
}

/**
 * Whether this process takes another session: its places are a promise about memory, but only what its event loop and its
 * packets do says whether there is time for one more.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #timer: NodeJS.Timeout | undefined;
  #paced: Paced = { packets: 0, late: 0 };
  #open = true;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#open;
  }

  start(): void {
    this.#delay.enable();
    this.#timer = setInterval(() => this.check(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delay.disable();
  }

  check(): void {
    const delayMs = this.#options.measure?.() ?? this.#measure();
    const late = this.#lateShare();
    const calm = this.#open
      ? delayMs < BUSY_DELAY_MS && late < BUSY_LATE_SHARE
      : delayMs < CALM_DELAY_MS && late < CALM_LATE_SHARE;
    const open = calm || this.#options.used() < PLACES_TO_MATTER;
    if (open !== this.#open) {
      this.#open = open;
      this.#options.onChange(open);
    }
    if (!open) this.#options.onBusy();
  }

  /** Of what was sent since the last look. */
  #lateShare(): number {
    const before = this.#paced;
    this.#paced = this.#options.paced();
    const packets = this.#paced.packets - before.packets;
    return packets > 0 ? (this.#paced.late - before.late) / packets : 0;
  }

  #measure(): number {
    // The histogram counts from the timer's own resolution.
    const delayMs = this.#delay.percentile(PERCENTILE) / NANOSECONDS_PER_MS - RESOLUTION_MS;
    this.#delay.reset();
    return delayMs;
  }
}
