import type { Clock } from '@humancast/shared';

export interface LeaseOptions {
  clock: Clock;
  /**
   * Gives a sign of life; resolves once nobody can take over before `leaseMs` have passed since it was sent.
   * @returns `false` when others could have taken over before it.
   */
  renew: () => Promise<boolean>;
  intervalMs: number;
  /** How long the others wait, from when they suspect this process, before they take over. */
  leaseMs: number;
  /** The others may take over now: stop at once. */
  onLost: () => void;
  /**
   * Signs of life get through again. @param unbroken whether nobody can have taken anything over meanwhile: it was too late for
   * this process only by its own clock.
   */
  onRegained: (unbroken: boolean) => void;
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
  #unbroken = true;
  #timer: NodeJS.Timeout | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
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
    // One at a time: a sign that hangs is not followed by others.
    this.#timer = setInterval(() => void (this.#renewing ?? this.#renew()), this.#options.intervalMs);
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

  /** Gives a sign of life out of turn; a failure is the same as one in turn. */
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
      // What ran out meanwhile was lost, whoever noticed.
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
      // The connection reports itself; the clock decides.
    }
  }
}
