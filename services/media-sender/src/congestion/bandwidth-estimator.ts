import { ArrivalGroups } from './arrival-groups.js';
import { LossBasedController } from './loss-based-controller.js';
import { OveruseDetector } from './overuse-detector.js';
import { Prober } from './prober.js';
import { QueueDelay } from './queue-delay.js';
import { RateControl } from './rate-control.js';
import { ReceivedRate } from './received-rate.js';
import { ReportControl } from './report-control.js';
import { type PacketFate, SendHistory } from './send-history.js';
import { type FeedbackVisitor, readTransportFeedback, TICK_MS } from './transport-feedback.js';

/** No estimate is lower: audio and a little video always go. */
export const LEAST_BPS = 60_000;
export const MOST_BPS = 10_000_000;
/** A cautious first estimate, which the first probes raise. */
export const START_BPS = 700_000;
/** A limit that the viewer does not repeat is over (it comes about once a second). */
const REMB_MS = 10_000;
const RECENT_MS = 200;
const RECEIVED_MS = 500;
/** Until a round trip has been seen. */
const ASSUMED_ROUND_TRIP_MS = 100;
const ROUND_TRIP_GAIN = 0.2;
const REPORTED_LOSS_GAIN = 0.5;
/** After overuse, the path is left in peace for so long. */
const PROBE_PAUSE_MS = 1500;
const JITTER_LOSS = 0.01;
/** Without feedback for this long, and three round trips, the path is dead for the time being. */
const SILENCE_MS = 800;
/** What comes after a silence as long as this says nothing about what came before. */
const RESTART_MS = 1000;

/** What the estimate rests on: the best that the viewer tells. */
export type EstimateSource = 'transport-cc' | 'remb' | 'receiver-reports';

/**
 * How much one viewer's path carries, from what the viewer says about the packets it got. Time is what the caller says, on any
 * monotonic clock; the memory is constant, and nothing is allocated for a packet.
 */
export class BandwidthEstimator {
  readonly #history = new SendHistory();
  readonly #groups = new ArrivalGroups();
  readonly #detector = new OveruseDetector();
  readonly #queue = new QueueDelay();
  readonly #rate: RateControl;
  readonly #loss = new LossBasedController();
  readonly #reports: ReportControl;
  readonly #received = new ReceivedRate();
  readonly #sent = new ReceivedRate();
  readonly #prober = new Prober();
  readonly #visitor: FeedbackVisitor = {
    received: (sequence, arrivalTicks) => this.#arrived(sequence, arrivalTicks),
    notReceived: (sequence) => this.#lost(sequence),
  };
  #source: EstimateSource = 'receiver-reports';
  #wantedBps = 0;
  #roundTripMs = ASSUMED_ROUND_TRIP_MS;
  #rembBps = Number.POSITIVE_INFINITY;
  #rembUntilMs = 0;
  #heardAtMs: number | undefined;
  /** When the first packet left of which nothing has been heard. */
  #unansweredSinceMs: number | undefined;
  #constrained = false;
  #rejected = 0;
  /** Smoothed over reports. */
  #reportedLoss = 0;
  // The feedback that is being read.
  #nowMs = 0;
  #arrivalTicks = 0;
  #leastDelayMs = Number.POSITIVE_INFINITY;
  #leastAnswerMs = Number.POSITIVE_INFINITY;

  constructor(startBps = START_BPS) {
    this.#rate = new RateControl(startBps);
    this.#reports = new ReportControl(startBps);
  }

  get source(): EstimateSource {
    return this.#source;
  }

  /** Feedback that was damaged, or told of packets that were never sent. */
  get rejected(): number {
    return this.#rejected;
  }

  /** The loss of the last feedback, 0 to 1. */
  get lossRate(): number {
    return this.#loss.loss;
  }

  /** The loss of the last seconds, 0 to 1. */
  get recentLossRate(): number {
    return this.#source === 'transport-cc' ? this.#loss.recentLoss : this.#reportedLoss;
  }

  /** Whether something has shown that the path carries less than is wanted; until then, the estimate is only cautious. */
  get isConstrained(): boolean {
    return this.#constrained;
  }

  /** The rate at which a cluster's packets leave; 0 outside of one. */
  get probeBps(): number {
    return this.#prober.rateBps;
  }

  get wantsPadding(): boolean {
    return this.#prober.wantsPadding;
  }

  /** The estimate, bits a second, headers included. */
  targetBps(nowMs: number): number {
    const own = this.#source === 'transport-cc' ? this.#rate.targetBps : this.#reports.targetBps;
    const remb = nowMs < this.#rembUntilMs ? this.#rembBps : Number.POSITIVE_INFINITY;
    // Where the viewer estimates by itself, that is better than what reports tell.
    const bps = this.#source === 'remb' && nowMs < this.#rembUntilMs ? remb : Math.min(own, remb, this.#loss.limitBps);
    return clamp(bps);
  }

  /** Whether nothing is heard of what is sent. */
  isSilent(nowMs: number): boolean {
    if (this.#source !== 'transport-cc' || this.#unansweredSinceMs === undefined) return false;
    return nowMs - this.#unansweredSinceMs > Math.max(SILENCE_MS, 3 * this.#roundTripMs);
  }

  /** What would be of use: beyond that, the path is not probed. */
  want(bps: number): void {
    this.#wantedBps = Math.min(bps, MOST_BPS);
  }

  /** Begins a probe when one is due. It is called before packets are sent. */
  poll(nowMs: number): void {
    if (this.#source !== 'transport-cc' || this.isSilent(nowMs)) return;
    this.#prober.poll(this.targetBps(nowMs), this.#wantedBps, this.#jitterMs, nowMs);
  }

  /** @returns the packet's transport-wide sequence number. */
  packetSent(bytes: number, padding: boolean, nowMs: number): number {
    this.#unansweredSinceMs ??= nowMs;
    this.#sent.add(nowMs, bytes);
    return this.#history.remember(bytes, nowMs, this.#prober.sent(bytes, padding));
  }

  /**
   * A packet leaves again as it was: when it arrives says nothing about the path.
   * @param sequence its transport-wide sequence number, if it has one.
   */
  packetRepeated(sequence: number | undefined, bytes: number, nowMs: number): void {
    this.#sent.add(nowMs, bytes);
    if (sequence === undefined) return;
    this.#nowMs = nowMs;
    this.#lost(sequence);
    const slot = this.#history.find(sequence);
    if (slot >= 0) this.#history.markReceived(slot);
  }

  /** @param sequence a transport-wide sequence number. @returns what the viewer has said about the packet. */
  fateOf(sequence: number): PacketFate {
    return this.#history.fate(this.#history.find(sequence));
  }

  /** @param packet an RTCP packet of type 205, format 15. */
  transportFeedback(packet: Buffer, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#leastDelayMs = Number.POSITIVE_INFINITY;
    this.#leastAnswerMs = Number.POSITIVE_INFINITY;
    if (this.#heardAtMs !== undefined && nowMs - this.#heardAtMs > RESTART_MS) this.#detector.reset();
    if (!readTransportFeedback(packet, this.#visitor)) this.#rejected++;
    // Nothing in it was news.
    if (this.#leastAnswerMs === Number.POSITIVE_INFINITY) return;
    this.#source = 'transport-cc';
    this.#heardAtMs = nowMs;
    this.#unansweredSinceMs = undefined;
    this.#roundTripMs += ROUND_TRIP_GAIN * (this.#leastAnswerMs - this.#roundTripMs);
    this.#queue.add(this.#leastDelayMs, nowMs);
    const { use } = this.#detector;
    const before = this.#rate.decreasedAtMs;
    this.#rate.update(
      {
        use,
        queueMs: this.#queue.ms,
        jitterMs: this.#jitterMs,
        recentBps: this.#received.bps(RECENT_MS),
        receivedBps: this.#received.bps(RECEIVED_MS),
        roundTripMs: this.#roundTripMs,
      },
      nowMs,
    );
    this.#rate.limit(Math.max(this.#loss.limitBps, LEAST_BPS));
    const isLowered = this.#rate.decreasedAtMs !== before;
    if (isLowered) this.#prober.holdUntil(nowMs + PROBE_PAUSE_MS);
    this.#constrain(isLowered || this.#loss.limitBps < this.#wantedBps, nowMs);
  }

  /** The viewer's own estimate (draft-alvestrand-rmcat-remb-03): a limit, and without anything better the estimate. */
  remb(bps: number, nowMs: number): void {
    this.#rembBps = clamp(bps);
    this.#rembUntilMs = nowMs + REMB_MS;
    if (this.#source === 'receiver-reports') this.#source = 'remb';
    this.#constrain(this.#rembBps < this.#wantedBps, nowMs);
  }

  /** @param fractionLost since the last report, 0 to 1. */
  receiverReport(fractionLost: number, roundTripMs: number | undefined, nowMs: number): void {
    this.#reportedLoss += REPORTED_LOSS_GAIN * (fractionLost - this.#reportedLoss);
    this.#reports.report(fractionLost, roundTripMs, this.#sent.bps(RECEIVED_MS) ?? 0, nowMs);
    this.#reports.limit(LEAST_BPS, MOST_BPS);
    this.#constrain(this.#reports.isLowered, nowMs);
  }

  /** Where packets are lost, too, a short queue that fills and drains is as likely as jitter. */
  get #jitterMs(): number {
    return this.#loss.recentLoss < JITTER_LOSS ? this.#queue.jitterMs : 0;
  }

  #arrived(sequence: number, arrivalTicks: number): void {
    const slot = this.#history.find(sequence);
    if (slot < 0) {
      this.#rejected++;
      return;
    }
    if (!this.#history.markReceived(slot)) return;
    // The reference time has 24 bits of 256 ticks: it wraps after twelve days.
    this.#arrivalTicks += (arrivalTicks - this.#arrivalTicks) | 0;
    const arrivalMs = this.#arrivalTicks * TICK_MS;
    const sentMs = this.#history.sentAtMs(slot);
    const bytes = this.#history.bytes(slot);
    this.#leastDelayMs = Math.min(this.#leastDelayMs, arrivalMs - sentMs);
    this.#leastAnswerMs = Math.min(this.#leastAnswerMs, this.#nowMs - sentMs);
    this.#received.add(arrivalMs, bytes);
    this.#loss.add(sentMs, bytes, true, this.#queue.ms);
    if (this.#groups.add(sentMs, arrivalMs)) this.#detector.add(this.#groups.sentDeltaMs, this.#groups.arrivalDeltaMs);
    this.#probed(this.#prober.received(this.#history.cluster(slot), bytes, sentMs, arrivalMs, this.#nowMs));
  }

  #lost(sequence: number): void {
    const slot = this.#history.find(sequence);
    if (slot < 0 || !this.#history.markLost(slot)) return;
    this.#loss.add(this.#history.sentAtMs(slot), this.#history.bytes(slot), false, this.#queue.ms);
    this.#probed(this.#prober.lost(this.#history.cluster(slot), this.#nowMs));
  }

  #constrain(isNarrow: boolean, nowMs: number): void {
    if (isNarrow) this.#constrained = true;
    else if (this.targetBps(nowMs) >= this.#wantedBps) this.#constrained = false;
  }

  #probed(bps: number | undefined): void {
    if (bps === undefined) return;
    const targetBps = this.targetBps(this.#nowMs);
    const improves = bps > targetBps * 1.05 && this.#detector.use !== 'overuse';
    if (improves) this.#rate.probed(Math.min(bps, MOST_BPS));
    this.#prober.judged(improves, this.#nowMs);
  }
}

function clamp(bps: number): number {
  return Math.min(Math.max(bps, LEAST_BPS), MOST_BPS);
}
