import { LinkCapacity } from './link-capacity.js';
import type { LinkUse } from './overuse-detector.js';

/** Share of the received rate that is requested once a queue builds up (draft-ietf-rmcat-gcc-02 §5.5, β). */
const DECREASE = 0.85;
/** Additional decrease that drains the queue, per ms of queueing delay, and its maximum. */
const DRAIN_PER_MS = 1 / 1000;
const MAX_DRAIN = 0.35;
/** If a decrease has not shortened the queue within this time, other flows keep it full. */
const SHARED_MS = 5000;
/** Multiplicative increase per second (η), and response time of the additive increase in addition to the round trip. */
const INCREASE = 1.08;
const RESPONSE_MS = 100;
const PACKET_BITS = 8 * 1200;
/** Maximum rate relative to the received rate, because more has not been shown to arrive. */
const UNPROVEN_FACTOR = 1.5;
const UNPROVEN_BPS = 10_000;
/** Overuse is acted upon only if the queueing delay exceeds what jitter explains. */
const MIN_QUEUE_MS = 15;
const JITTER_FACTOR = 8;

export interface RateInput {
  readonly use: LinkUse;
  readonly queueMs: number;
  readonly jitterMs: number;
  /** Rate received over the last 200 ms and 500 ms. */
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
  /** Queueing delay at the last decrease. */
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
    if (input.use === 'overuse' && input.queueMs >= MIN_QUEUE_MS + JITTER_FACTOR * input.jitterMs) {
      this.#increasing = false;
      this.#decrease(input, nowMs);
    } else if (input.use === 'underuse') {
      // Holds the rate until the queue has drained, to keep the delay low.
      this.#increasing = false;
    } else if (!this.#increasing) {
      this.#increasing = true;
    } else {
      this.#increase(input, elapsedMs);
    }
  }

  /** Applies the result of a probe. */
  probed(bps: number): void {
    if (bps <= this.#targetBps) return;
    if (this.#capacity.isOutside(bps)) this.#capacity.reset();
    this.#targetBps = bps;
  }

  /** Limits the rate; the value above the limit is forgotten. */
  limit(bps: number): void {
    this.#targetBps = Math.min(this.#targetBps, bps);
  }

  /** Decreases at most once per response time, or at once if less than half of the rate arrives. */
  #decrease({ recentBps, queueMs, roundTripMs }: RateInput, nowMs: number): void {
    const receivedBps = recentBps ?? this.#targetBps;
    const answered = nowMs - this.#decreasedAtMs >= roundTripMs + RESPONSE_MS;
    if (!answered && receivedBps > this.#targetBps / 2) return;
    const isOthers = nowMs - this.#decreasedAtMs < SHARED_MS && queueMs > this.#decreasedQueueMs;
    const drain = isOthers ? 0 : Math.min(queueMs * DRAIN_PER_MS, MAX_DRAIN);
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
