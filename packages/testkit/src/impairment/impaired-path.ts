import type { Impairment } from './profile.js';

/** Deterministic numbers from 0 to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @returns half of a normal distribution, which only delays (Box–Muller). It draws two numbers. */
export function halfNormal(random: () => number): number {
  return Math.abs(Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** IPv4 and UDP: a link carries them, too. */
const HEADER_BYTES = 28;
/** How far ahead of its turn a packet comes that overtakes others. */
const OVERTAKE_MS = 10;

/** One direction of a path: decides what becomes of each packet. The same seed and packets make the same decisions. */
export class ImpairedPath {
  readonly #random: () => number;
  #isBad = false;
  #busyUntilMs = 0;
  #lastMs = 0;
  readonly counts = { packets: 0, bytes: 0, lost: 0, queueDrops: 0 };

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** @returns when each copy of the packet arrives, by the clock of `nowMs`; none for one that is lost. */
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

  /** Random numbers are drawn in any case, so that what a phase leaves out does not shift the next decision. */
  #isLost({ loss, burst }: Impairment): boolean {
    const [isLost, change, isLostInBurst] = [this.#random() < loss, this.#random(), this.#random()];
    if (!burst) return isLost;
    this.#isBad = this.#isBad ? change >= burst.leave : change < burst.enter;
    return isLost || (this.#isBad && isLostInBurst < burst.loss);
  }

  /** @returns when the packet leaves the bottleneck; `undefined` if its queue is full. */
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
