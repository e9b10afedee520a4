import { NO_CLUSTER } from './send-history.js';

/** Minimum number of packets and duration of a cluster. */
const CLUSTER_PACKETS = 5;
const CLUSTER_MS = 15;
/** Jitter that delays a whole cluster hides the path's rate, so a cluster is extended by this many times the jitter. */
const JITTER_FACTOR = 4;
const MAX_CLUSTER_MS = 50;
/** Minimum share of a cluster that must arrive for a result. */
const MIN_ARRIVED_SHARE = 0.8;
/**
 * If less than this share of the sent rate arrives, the link was full, and the result is slightly less than what arrived.
 */
const FULL_SHARE = 0.9;
const FULL_MARGIN = 0.95;
/** Time limits for a cluster's feedback and for sending it. */
const ANSWER_MS = 1500;
const SEND_MS = 300;
const STEP = 2;
/** Margin above the wanted rate, so that the result is not just below it. */
const MARGIN = 1.15;
/** Interval after a probe without improvement; doubled up to the maximum. */
const INTERVAL_MS = 1000;
const MAX_INTERVAL_MS = 6000;
/** Budget for padding: a share of the sent bytes, and the maximum credit. */
export const PROBE_SHARE = 0.2;
export const PROBE_LIMIT_BYTES = 16_384;

/**
 * Probes whether the path carries more than is sent, by sending a cluster of packets at a higher rate and measuring how fast
 * they arrive. Media packets belong to the cluster; padding, limited by a budget, completes it.
 */
export class Prober {
  #cluster = NO_CLUSTER;
  #clusterMs = CLUSTER_MS;
  #rateBps = 0;
  #sending = false;
  #awaiting = false;
  #startedAtMs = 0;
  #creditBytes = PROBE_LIMIT_BYTES;
  #intervalMs = INTERVAL_MS;
  #nextAtMs = Number.NEGATIVE_INFINITY;
  // The cluster as sent.
  #packets = 0;
  #bytes = 0;
  // The cluster according to feedback.
  #lost = 0;
  #arrived = 0;
  #arrivedBytes = 0;
  #firstArrivalMs = 0;
  #lastArrivalMs = 0;
  #firstBytes = 0;
  #firstSentMs = 0;
  #lastSentMs = 0;
  #lastBytes = 0;

  /** Send rate including padding, bits per second; 0 if no cluster is being sent. */
  get rateBps(): number {
    return this.#sending ? this.#rateBps : 0;
  }

  /** Whether padding may be sent to complete a cluster. */
  get wantsPadding(): boolean {
    return this.#sending && this.#creditBytes > 0;
  }

  /** Starts a cluster if one is due. @param wantedBps The highest useful rate. */
  poll(targetBps: number, wantedBps: number, jitterMs: number, nowMs: number): void {
    if (this.#sending && nowMs - this.#startedAtMs > SEND_MS) this.#sending = false;
    if (this.#awaiting && nowMs - this.#startedAtMs > ANSWER_MS) this.#failed(nowMs);
    if (this.#awaiting || nowMs < this.#nextAtMs || wantedBps <= targetBps) return;
    const rateBps = Math.min(targetBps * STEP, wantedBps * MARGIN);
    if ((rateBps * CLUSTER_MS) / 8000 > this.#creditBytes) return;
    const affordableMs = (this.#creditBytes * 8000) / rateBps;
    this.#clusterMs = Math.min(CLUSTER_MS + JITTER_FACTOR * jitterMs, MAX_CLUSTER_MS, affordableMs);
    this.#cluster = (this.#cluster % 0xffff) + 1;
    this.#rateBps = rateBps;
    this.#startedAtMs = nowMs;
    this.#sending = true;
    this.#awaiting = true;
    this.#packets = 0;
    this.#bytes = 0;
    this.#lost = 0;
    this.#arrived = 0;
    this.#arrivedBytes = 0;
  }

  /** Delays the next probe, because the path is or was full. */
  holdUntil(atMs: number): void {
    this.#nextAtMs = Math.max(this.#nextAtMs, atMs);
  }

  /** Records a sent packet. @returns Its cluster. */
  sent(bytes: number, padding: boolean): number {
    this.#creditBytes = padding
      ? this.#creditBytes - bytes
      : Math.min(this.#creditBytes + bytes * PROBE_SHARE, PROBE_LIMIT_BYTES);
    if (!this.#sending) return NO_CLUSTER;
    this.#packets++;
    this.#bytes += bytes;
    if (this.#packets >= CLUSTER_PACKETS && this.#bytes * 8000 >= this.#rateBps * this.#clusterMs)
      this.#sending = false;
    return this.#cluster;
  }

  /**
   * Records a received packet of a cluster.
   * @returns The path's capacity, bits per second, once the whole cluster is accounted for.
   */
  received(cluster: number, bytes: number, sentMs: number, arrivalMs: number, nowMs: number): number | undefined {
    if (!this.#awaiting || cluster !== this.#cluster) return undefined;
    if (this.#arrived++ === 0) {
      this.#firstBytes = bytes;
      this.#firstSentMs = sentMs;
      this.#firstArrivalMs = arrivalMs;
      this.#lastArrivalMs = arrivalMs;
    }
    this.#arrivedBytes += bytes;
    this.#lastBytes = bytes;
    this.#lastSentMs = sentMs;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arrivalMs);
    return this.#accounted(nowMs);
  }

  /** Records a lost packet of a cluster. @returns As {@link received}. */
  lost(cluster: number, nowMs: number): number | undefined {
    if (!this.#awaiting || cluster !== this.#cluster) return undefined;
    this.#lost++;
    return this.#accounted(nowMs);
  }

  /** Schedules the next probe: at once after an improvement, otherwise after a growing interval. */
  judged(improved: boolean, nowMs: number): void {
    this.#intervalMs = improved ? INTERVAL_MS : Math.min(this.#intervalMs * 2, MAX_INTERVAL_MS);
    this.#nextAtMs = improved ? nowMs : nowMs + this.#intervalMs;
  }

  #accounted(nowMs: number): number | undefined {
    if (this.#sending || this.#arrived + this.#lost < this.#packets) return undefined;
    const sendMs = this.#lastSentMs - this.#firstSentMs;
    const arrivalMs = this.#lastArrivalMs - this.#firstArrivalMs;
    if (this.#arrived < MIN_ARRIVED_SHARE * this.#packets || sendMs <= 0 || arrivalMs <= 0) {
      this.#failed(nowMs);
      return undefined;
    }
    this.#awaiting = false;
    // The send interval excludes the last packet, and the arrival interval the first.
    const sentBps = ((this.#arrivedBytes - this.#lastBytes) * 8000) / sendMs;
    const arrivedBps = ((this.#arrivedBytes - this.#firstBytes) * 8000) / arrivalMs;
    return arrivedBps < FULL_SHARE * sentBps ? FULL_MARGIN * arrivedBps : Math.min(sentBps, arrivedBps);
  }

  #failed(nowMs: number): void {
    this.#awaiting = false;
    this.#sending = false;
    this.judged(false, nowMs);
  }
}
