import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Interval between two checks of the load. */
const INTERVAL_MS = 1000;
/** Event-loop delay above which no more sessions are accepted, ms: packets begin to be late. */
const BUSY_DELAY_MS = 15;
/** Event-loop delay below which they are accepted again; lower, so that admission does not flap. */
const CALM_DELAY_MS = 8;
const PERCENTILE = 95;
/**
 * A packet that leaves this long after its deadline is late, ms. {@link BUSY_LATE_SHARE} and {@link CALM_LATE_SHARE} are
 * shares of all packets.
 */
export const LATE_MS = 10;
const BUSY_LATE_SHARE = 0.05;
const CALM_LATE_SHARE = 0.01;
/** Utilization below which sessions are accepted whatever the load, because they are not its cause. */
const MIN_UTILIZATION = 0.25;
const RESOLUTION_MS = 5;
const NANOSECONDS_PER_MS = 1e6;

/** Packets of all sessions since the process started. */
export interface PacketCounts {
  readonly packets: number;
  /** Packets that left more than {@link LATE_MS} after their deadline. */
  readonly late: number;
}

export interface AdmissionOptions {
  /** Called when admission opens or closes. */
  onChange: (open: boolean) => void;
  /** Called at each check that finds the process overloaded. */
  onOverloaded: () => void;
  /** Share of the capacity in use, 0 to 1. */
  utilization: () => number;
  /** @returns The packet counts of this process. */
  packetCounts: () => PacketCounts;
  /** Event-loop delay of the last interval, ms. Default: measured. */
  measure?: () => number;
}

/**
 * Decides whether this process accepts another session. Its capacity limits memory; only event-loop delay and late packets
 * show whether there is CPU time for one more.
 */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #timer: NodeJS.Timeout | undefined;
  #counted: PacketCounts = { packets: 0, late: 0 };
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
    const open = calm || this.#options.utilization() < MIN_UTILIZATION;
    if (open !== this.#open) {
      this.#open = open;
      this.#options.onChange(open);
    }
    if (!open) this.#options.onOverloaded();
  }

  /** @returns The share of late packets since the last check. */
  #lateShare(): number {
    const before = this.#counted;
    this.#counted = this.#options.packetCounts();
    const packets = this.#counted.packets - before.packets;
    return packets > 0 ? (this.#counted.late - before.late) / packets : 0;
  }

  #measure(): number {
    // The histogram includes the timer's resolution.
    const delayMs = this.#delay.percentile(PERCENTILE) / NANOSECONDS_PER_MS - RESOLUTION_MS;
    this.#delay.reset();
    return delayMs;
  }
}
