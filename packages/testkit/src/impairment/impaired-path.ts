import type { Impairment } from './profile.js';

/** @returns A seeded generator of numbers from 0 to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @returns the absolute value of a standard normal variate (Box–Muller), from two random numbers. */
export function halfNormal(random: () => number): number {
  return Math.abs(Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** Size of the IPv4 and UDP headers, which also use the link's rate. */
const HEADER_BYTES = 28;
/** Time by which a reordered packet arrives early. */
const OVERTAKE_MS = 10;

/**
 * One direction of a path, which decides whether and when each packet arrives. The same seed and packets give the same
 * decisions.
 */
export class ImpairedPath {
  readonly #random: () => number;
  #isBad = false;
  #busyUntilMs = 0;
  #lastMs = 0;
  readonly counts = { packets: 0, bytes: 0, lost: 0, queueDrops: 0 };

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** @returns the arrival time of each copy of the packet, on the clock of `nowMs`; none if it is lost. */
  send(bytes: number, nowMs: number, impairment: Impairment): number[] {
    this.counts.packets++;
    this.counts.bytes += bytes;
    if (impairment.isDead || this.#isLost(impairment)) {
      this.counts.lost++;
      return [];
    }
    const leftMs = this.#queue(bytes, nowMs, impairment);
    if (leftMs === undefined) {
      this.counts.queueDrops++;
      return [];
    }
    const arrivalMs = this.#arrival(leftMs, impairment);
    return this.#random() < impairment.duplicate ? [arrivalMs, arrivalMs] : [arrivalMs];
  }

  /** Draws the same number of random numbers in every case, so that a phase's settings do not shift later decisions. */
  #isLost({ loss, burst }: Impairment): boolean {
    const [isLost, change, isLostInBurst] = [this.#random() < loss, this.#random(), this.#random()];
    if (!burst) return isLost;
    this.#isBad = this.#isBad ? change >= burst.leave : change < burst.enter;
    return isLost || (this.#isBad && isLostInBurst < burst.loss);
  }

  /** @returns the time at which the packet leaves the bottleneck; `undefined` if its queue is full. */
  #queue(bytes: number, nowMs: number, { rateBps, queueMs }: Impairment): number | undefined {
    if (rateBps === Number.POSITIVE_INFINITY) return nowMs;
    const startMs = Math.max(nowMs, this.#busyUntilMs);
    if (startMs - nowMs > queueMs) return undefined;
    this.#busyUntilMs = startMs + ((bytes + HEADER_BYTES) * 8000) / rateBps;
    return this.#busyUntilMs;
  }

  #arrival(leftMs: number, { delayMs, jitterMs, reorder }: Impairment): number {
    const arrivalMs = leftMs + delayMs + halfNormal(this.#random) * jitterMs;
    if (this.#random() < reorder) return Math.max(leftMs, arrivalMs - OVERTAKE_MS);
    this.#lastMs = Math.max(this.#lastMs, arrivalMs);
    return this.#lastMs;
  }
}
