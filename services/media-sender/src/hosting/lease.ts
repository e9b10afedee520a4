import type { Clock } from '@humancast/shared';

export interface LeaseOptions {
  clock: Clock;
  /**
   * Sends a heartbeat. Resolves once nobody can take over for `leaseMs` from when it was sent.
   * @returns `false` if another process could have taken over before it arrived.
   */
  renew: () => Promise<boolean>;
  intervalMs: number;
  /** Time that others wait between suspecting this process and taking over, ms. */
  leaseMs: number;
  /** Called when others may take over: sending must stop immediately. */
  onLost: () => void;
  /**
   * Called when heartbeats succeed again.
   * @param unbroken Whether nobody can have taken over meanwhile, because the lease expired by this process's clock only.
   */
  onRegained: (unbroken: boolean) => void;
}

/** Fraction of the lease that is reserved for a heartbeat's travel time and for stopping. */
const MARGIN = 0.2;

/**
 * The right of a process to host sessions, valid while its heartbeats succeed. It is counted on the monotonic clock from
 * before each heartbeat was sent, so that this process stops before another one starts, whatever was slow in between.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #held = false;
  #unbroken = true;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #stopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Determined from the clock, so that it is correct even if the process was just frozen and has run no timer since. */
  get held(): boolean {
    return this.#held && this.#options.clock.nowMs() < this.#validUntilMs;
  }

  async start(): Promise<void> {
    await this.#renew();
    // One at a time: a heartbeat that hangs is not followed by others.
    this.#timer = setInterval(() => void (this.#renewing ?? this.#renew()), this.#options.intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#expiry);
    this.#held = false;
  }

  /** Checks by the clock whether the lease has run out. */
  check(nowMs: number): void {
    if (!this.#held || nowMs < this.#validUntilMs) return;
    this.#held = false;
    this.#options.onLost();
  }

  /** Sends a heartbeat ahead of schedule; a failure is handled as that of a scheduled one. */
  async renew(): Promise<void> {
    await this.#renewing;
    await (this.#renewing ?? this.#renew());
  }

  #renew(): Promise<void> {
    this.#renewing = this.#renewOnce().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const { clock, leaseMs } = this.#options;
    const sentAtMs = clock.nowMs();
    try {
      const unbroken = await this.#options.renew();
      const nowMs = clock.nowMs();
      // If the lease ran out while waiting, it was lost, even if no timer noticed.
      if (!unbroken) {
        this.#unbroken = false;
        this.#validUntilMs = Number.NEGATIVE_INFINITY;
      }
      this.check(nowMs);
      this.#validUntilMs = sentAtMs + leaseMs * (1 - MARGIN);
      // An answer that took longer than the lease proves nothing about now.
      const leftMs = this.#validUntilMs - nowMs;
      if (leftMs <= 0 || this.#stopped) return;
      clearTimeout(this.#expiry);
      this.#expiry = setTimeout(() => this.check(clock.nowMs()), leftMs);
      if (this.#held) return;
      this.#held = true;
      this.#options.onRegained(this.#unbroken);
      this.#unbroken = true;
    } catch {
      // The connection logs its own errors, and the clock decides whether the lease is lost.
    }
  }
}
