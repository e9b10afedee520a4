import { LinkCapacity } from './link-capacity.js';
import type { LinkUse } from './overuse-detector.js';

/** Of what arrived, this is asked for once a queue builds up (draft-ietf-rmcat-gcc-02 §5.5, β). */
const DECREASE = 0.85;
/** A queue is drained by going lower for as long as it stands: this much lower per ms of queue, at most. */
const DRAIN_PER_MS = 1 / 1000;
const MOST_DRAIN = 0.35;
/** A queue that going lower has not shortened within this time is somebody else's. */
const SHARED_MS = 5000;
/** Multiplicative increase a second (η), and the additive one's response time besides the round trip. */
const INCREASE = 1.08;
const RESPONSE_MS = 100;
const PACKET_BITS = 8 * 1200;
/** The rate is never raised beyond what has been shown to arrive. */
const UNPROVEN_FACTOR = 1.5;
const UNPROVEN_BPS = 10_000;
/** Overuse is believed only where packets do wait, longer than jitter explains. */
const LEAST_QUEUE_MS = 15;
const JITTER_FACTOR = 8;

export interface RateInput {
  readonly use: LinkUse;
  readonly queueMs: number;
  readonly jitterMs: number;
  /** Received over the last 200 ms and 500 ms. */
  readonly recentBps: number | undefined;
  readonly receivedBps: number | undefined;
  readonly roundTripMs: number;
}

/** Additive increase, multiplicative decrease (draft-ietf-rmcat-gcc-02 §5.5). */
export class RateControl {
  readonly #capacity = new LinkCapacity();
  #targetBps: number;
  #increasing = true;
  #updatedAtMs: number | undefined;
  #decreasedAtMs = Number.NEGATIVE_INFINITY;
  /** Of the last decrease. */
  #decreasedQueueMs = 0;

  constructor(startBps: number) {
    this.#targetBps = startBps;
  }

  get targetBps(): number {
    return this.#targetBps;
  }

  get decreasedAtMs(): number {
    return this.#decreasedAtMs;
  }

  update(input: RateInput, nowMs: number): void {
    const elapsedMs = Math.min(nowMs - (this.#updatedAtMs ?? nowMs), 1000);
    this.#updatedAtMs = nowMs;
    if (input.use === 'overuse' && input.queueMs >= LEAST_QUEUE_MS + JITTER_FACTOR * input.jitterMs) {
      this.#increasing = false;
      this.#decrease(input, nowMs);
    } else if (input.use === 'underuse') {
      // The queue drains: waiting until it has keeps the delay low.
      this.#increasing = false;
    } else if (!this.#increasing) {
      this.#increasing = true;
    } else {
      this.#increase(input, elapsedMs);
    }
  }

  /** A probe has shown that this rate arrives. */
  probed(bps: number): void {
    if (bps <= this.#targetBps) return;
    if (this.#capacity.isOutside(bps)) this.#capacity.reset();
    this.#targetBps = bps;
  }

  /** Never higher than this; without memory of what was above. */
  limit(bps: number): void {
    this.#targetBps = Math.min(this.#targetBps, bps);
  }

  /** Goes down at most once in a response time, and again at once where only half of the rate arrives. */
  #decrease({ recentBps, queueMs, roundTripMs }: RateInput, nowMs: number): void {
    const receivedBps = recentBps ?? this.#targetBps;
    const answered = nowMs - this.#decreasedAtMs >= roundTripMs + RESPONSE_MS;
    if (!answered && receivedBps > this.#targetBps / 2) return;
    const isOthers = nowMs - this.#decreasedAtMs < SHARED_MS && queueMs > this.#decreasedQueueMs;
    const drain = isOthers ? 0 : Math.min(queueMs * DRAIN_PER_MS, MOST_DRAIN);
    const lowered = receivedBps * (DECREASE - drain);
    if (this.#capacity.isOutside(receivedBps)) this.#capacity.reset();
    this.#capacity.overused(receivedBps);
    this.#targetBps = Math.min(this.#targetBps, lowered);
    this.#decreasedAtMs = nowMs;
    this.#decreasedQueueMs = queueMs;
  }

  #increase({ receivedBps, roundTripMs }: RateInput, elapsedMs: number): void {
    if (receivedBps === undefined) return;
    const most = receivedBps * UNPROVEN_FACTOR + UNPROVEN_BPS;
    if (this.#targetBps >= most) return;
    if (this.#capacity.isOutside(receivedBps) && receivedBps > this.#targetBps) this.#capacity.reset();
    const additive = (PACKET_BITS * elapsedMs) / (roundTripMs + RESPONSE_MS);
    const raised = this.#capacity.isNear(this.#targetBps)
      ? this.#targetBps + additive
      : this.#targetBps * INCREASE ** (elapsedMs / 1000) + Math.min(additive, 1000);
    this.#targetBps = Math.min(raised, most);
  }
}
