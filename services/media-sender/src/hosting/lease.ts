import type { Clock } from '@humancast/shared';

export interface LeaseOptions {
  clock: Clock;
  /** Says that this process is alive; resolves once the others can see it. */
  renew: () => Promise<void>;
  intervalMs: number;
  /** How long the others wait for a sign of life before they take over. */
  leaseMs: number;
  /** The others may take over now: stop at once. */
  onLost: () => void;
  /** Signs of life get through again. */
  onRegained: () => void;
}

/** Of the lease, this much is kept for the way of a renewal and for stopping. */
const MARGIN = 0.2;

/**
 * The right to host, of a whole process: as long as its signs of life get through. Counted from before each sign was sent, on
 * the monotonic clock, so that this process stops before anyone else starts, whatever was slow in between.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #validUntilMs = Number.NEGATIVE_INFINITY;
  #held = false;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #renewing = false;
  #stopped = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** By the clock, now: also right for a process that was stopped an instant ago and has run no timer since. */
  get held(): boolean {
    return this.#held && this.#options.clock.nowMs() < this.#validUntilMs;
  }

  async start(): Promise<void> {
    await this.#renew();
    this.#timer = setInterval(() => void this.#renew(), this.#options.intervalMs);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
    clearTimeout(this.#expiry);
    this.#held = false;
  }

  /** Notices by the clock alone that the lease has run out. */
  check(nowMs: number): void {
    if (!this.#held || nowMs < this.#validUntilMs) return;
    this.#held = false;
    this.#options.onLost();
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    const { clock, leaseMs } = this.#options;
    const sentAtMs = clock.nowMs();
    try {
      await this.#options.renew();
      const nowMs = clock.nowMs();
      // What ran out meanwhile was lost, whoever noticed.
      this.check(nowMs);
      this.#validUntilMs = sentAtMs + leaseMs * (1 - MARGIN);
      // An answer that took longer than the lease proves nothing about now.
      const leftMs = this.#validUntilMs - nowMs;
      if (leftMs <= 0 || this.#stopped) return;
      clearTimeout(this.#expiry);
      this.#expiry = setTimeout(() => this.check(clock.nowMs()), leftMs);
      if (this.#held) return;
      this.#held = true;
      this.#options.onRegained();
    } catch {
      // The connection reports itself; the clock decides.
    } finally {
      this.#renewing = false;
    }
  }
}
