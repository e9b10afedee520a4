import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Looks at the load this often. */
const INTERVAL_MS = 1000;
/** Event-loop delay above which nothing new is taken: packets begin to be late. */
const BUSY_DELAY_MS = 15;
/** And below which it is taken again. Apart, so that it does not flap. */
const CALM_DELAY_MS = 8;
const PERCENTILE = 95;
/** With fewer of its places taken, it is not its sessions that keep the process busy. */
const PLACES_TO_MATTER = 0.25;
const RESOLUTION_MS = 5;
const NANOSECONDS_PER_MS = 1e6;

export interface AdmissionOptions {
  /** Stop or start taking sessions. */
  onChange: (open: boolean) => void;
  /** Places taken, 0 to 1. */
  used: () => number;
  /** Event-loop delay of the last interval, ms; measured unless given. */
  measure?: () => number;
}

/**
 * Whether this process takes another session: its places are a promise about memory, but only what its event loop does says
 * whether packets still leave in time.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #timer: NodeJS.Timeout | undefined;
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
    const calm = this.#open ? delayMs < BUSY_DELAY_MS : delayMs < CALM_DELAY_MS;
    const open = calm || this.#options.used() < PLACES_TO_MATTER;
    if (open === this.#open) return;
    this.#open = open;
    this.#options.onChange(open);
  }

  #measure(): number {
    // The histogram counts from the timer's own resolution.
    const delayMs = this.#delay.percentile(PERCENTILE) / NANOSECONDS_PER_MS - RESOLUTION_MS;
    this.#delay.reset();
    return delayMs;
  }
}
