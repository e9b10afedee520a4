import { NO_CLUSTER } from './send-history.js';

/** A cluster is so many packets and so long, at least. */
const CLUSTER_PACKETS = 5;
const CLUSTER_MS = 15;
/** Jitter that holds back a whole cluster at once hides the path's rate: a cluster is longer by this many times the jitter. */
const JITTER_FACTOR = 4;
const MOST_CLUSTER_MS = 50;
/** Of a cluster, so much has to arrive to tell anything. */
const LEAST_ARRIVED = 0.8;
/** Slower than this share of the sent rate, the link was full: then a little less than what arrived is believed. */
const FULL_SHARE = 0.9;
const FULL_MARGIN = 0.95;
/** A cluster whose feedback has not come by then tells nothing; one that can't be sent in time is given up. */
const ANSWER_MS = 1500;
const SEND_MS = 300;
const STEP = 2;
/** Aimed for besides what is wanted, so that the result is not just below it. */
const MARGIN = 1.15;
/** Between two probes that found nothing more; doubles up to the second. */
const INTERVAL_MS = 1000;
const MOST_INTERVAL_MS = 6000;
/** Padding that probes may take, as a share of what is sent, and saved up at most. */
export const PROBE_SHARE = 0.2;
export const PROBE_LIMIT_BYTES = 16_384;

/**
 * Finds out whether the path carries more than is sent: a handful of packets at a higher rate, and a look at how fast they
 * arrive. Media counts for a cluster; what is missing is padding, of which there is a budget.
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
  // And as the feedback tells of it.
  #lost = 0;
  #arrived = 0;
  #arrivedBytes = 0;
  #firstArrivalMs = 0;
  #lastArrivalMs = 0;
  #firstBytes = 0;
  #firstSentMs = 0;
  #lastSentMs = 0;
  #lastBytes = 0;

  /** The rate at which packets are to leave now, padding included; 0 outside of a cluster. */
  get rateBps(): number {
    return this.#sending ? this.#rateBps : 0;
  }

  /** Whether padding may be sent to complete a cluster. */
  get wantsPadding(): boolean {
    return this.#sending && this.#creditBytes > 0;
  }

  /** Begins a cluster if one is due. @param wantedBps what would be of use. */
  poll(targetBps: number, wantedBps: number, jitterMs: number, nowMs: number): void {
    if (this.#sending && nowMs - this.#startedAtMs > SEND_MS) this.#sending = false;
    if (this.#awaiting && nowMs - this.#startedAtMs > ANSWER_MS) this.#failed(nowMs);
    if (this.#awaiting || nowMs < this.#nextAtMs || wantedBps <= targetBps) return;
    const rateBps = Math.min(targetBps * STEP, wantedBps * MARGIN);
    if ((rateBps * CLUSTER_MS) / 8000 > this.#creditBytes) return;
    const affordableMs = (this.#creditBytes * 8000) / rateBps;
    this.#clusterMs = Math.min(CLUSTER_MS + JITTER_FACTOR * jitterMs, MOST_CLUSTER_MS, affordableMs);
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

  /** No probe before then: the path is full, or was. */
  holdUntil(atMs: number): void {
    this.#nextAtMs = Math.max(this.#nextAtMs, atMs);
  }

  /** A packet leaves. @returns the cluster it belongs to. */
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
   * The feedback tells of a packet of a cluster that it arrived.
   * @returns what the path carries, bits a second, once all of the cluster is accounted for.
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

  /** As {@link received}, of a packet that was lost. */
  lost(cluster: number, nowMs: number): number | undefined {
    if (!this.#awaiting || cluster !== this.#cluster) return undefined;
    this.#lost++;
    return this.#accounted(nowMs);
  }

  /** Whether the result was more than before decides how soon the next one comes. */
  judged(improved: boolean, nowMs: number): void {
    this.#intervalMs = improved ? INTERVAL_MS : Math.min(this.#intervalMs * 2, MOST_INTERVAL_MS);
    this.#nextAtMs = improved ? nowMs : nowMs + this.#intervalMs;
  }

  #accounted(nowMs: number): number | undefined {
    if (this.#sending || this.#arrived + this.#lost < this.#packets) return undefined;
    const sendMs = this.#lastSentMs - this.#firstSentMs;
    const arrivalMs = this.#lastArrivalMs - this.#firstArrivalMs;
    if (this.#arrived < LEAST_ARRIVED * this.#packets || sendMs <= 0 || arrivalMs <= 0) {
      this.#failed(nowMs);
      return undefined;
    }
    this.#awaiting = false;
    // The last packet's time is not in the interval of sending, nor the first one's in that of arriving.
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
