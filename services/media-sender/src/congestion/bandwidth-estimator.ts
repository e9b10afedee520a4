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

/** Minimum estimate: audio and a little video are always sent. */
export const MIN_BPS = 60_000;
export const MAX_BPS = 10_000_000;
/** Cautious initial estimate, which the first probes raise. */
export const START_BPS = 700_000;
/** Validity of a REMB; viewers repeat it about once a second. */
const REMB_MS = 10_000;
const RECENT_MS = 200;
const RECEIVED_MS = 500;
/** Assumed until a round trip has been measured. */
const ASSUMED_ROUND_TRIP_MS = 100;
const ROUND_TRIP_GAIN = 0.2;
const REPORTED_LOSS_GAIN = 0.5;
/** Pause of probing after overuse. */
const PROBE_PAUSE_MS = 1500;
const JITTER_LOSS = 0.01;
/** The path counts as dead after this long without feedback, but not before three round trips. */
const SILENCE_MS = 800;
/**
 * Interval of numbered packets on a dead path, so that feedback shows when it is alive again. Audio does that where it
 * carries numbers.
 */
const ASK_INTERVAL_MS = 200;
/** Feedback after a silence longer than this is not compared with the feedback before it. */
const RESTART_MS = 1000;

/** Basis of the estimate: the best feedback that the viewer sends. */
export type EstimateSource = 'transport-cc' | 'remb' | 'receiver-reports';

/**
 * Estimates the capacity of one viewer's path from the viewer's feedback. Times are the caller's, on any monotonic clock.
 * Memory use is constant, and nothing is allocated per packet.
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
  /** Send time of the first packet since the last feedback. */
  #unansweredSinceMs: number | undefined;
  /** Send time of the last numbered packet. */
  #numberedAtMs = 0;
  /** Whether a numbered packet is due on a dead path. */
  #isAsking = false;
  #constrained = false;
  #rejected = 0;
  /** Loss by receiver reports, smoothed. */
  #reportedLoss = 0;
  // State while a feedback message is read.
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

  /** Number of feedback messages that were damaged, and of acknowledged packets that were never sent. */
  get rejected(): number {
    return this.#rejected;
  }

  /** Loss in the last observation, 0 to 1. */
  get lossRate(): number {
    return this.#loss.loss;
  }

  /** Loss of the last seconds, 0 to 1. */
  get recentLossRate(): number {
    return this.#source === 'transport-cc' ? this.#loss.recentLoss : this.#reportedLoss;
  }

  /**
   * Whether feedback has shown that the path carries less than {@link want wanted}; until then, the estimate is only
   * cautious.
   */
  get isConstrained(): boolean {
    return this.#constrained;
  }

  /** Send rate of the current probe; 0 if none is being sent. */
  get probeBps(): number {
    return this.#prober.rateBps;
  }

  /** Whether a packet may be repeated, to complete a probe or to learn whether a dead path is alive again. */
  get wantsPadding(): boolean {
    return this.#isAsking || this.#prober.wantsPadding;
  }

  /** @returns The estimate, bits per second, including headers. */
  targetBps(nowMs: number): number {
    const own = this.#source === 'transport-cc' ? this.#rate.targetBps : this.#reports.targetBps;
    const remb = nowMs < this.#rembUntilMs ? this.#rembBps : Number.POSITIVE_INFINITY;
    // The viewer's own estimate is better than one from receiver reports.
    const bps = this.#source === 'remb' && nowMs < this.#rembUntilMs ? remb : Math.min(own, remb, this.#loss.limitBps);
    return clamp(bps);
  }

  /** @returns Whether the viewer acknowledges nothing of what is sent. */
  isSilent(nowMs: number): boolean {
    if (this.#source !== 'transport-cc' || this.#unansweredSinceMs === undefined) return false;
    return nowMs - this.#unansweredSinceMs > Math.max(SILENCE_MS, 3 * this.#roundTripMs);
  }

  /** Sets the highest useful rate; the path is not probed beyond it. */
  want(bps: number): void {
    this.#wantedBps = Math.min(bps, MAX_BPS);
  }

  /** Starts a probe if one is due. Call it before sending packets. */
  poll(nowMs: number): void {
    if (this.#source !== 'transport-cc') return;
    const isSilent = this.isSilent(nowMs);
    this.#isAsking = isSilent && nowMs - this.#numberedAtMs >= ASK_INTERVAL_MS;
    if (!isSilent) this.#prober.poll(this.targetBps(nowMs), this.#wantedBps, this.#jitterMs, nowMs);
  }

  /** @returns The packet's transport-wide sequence number. */
  packetSent(bytes: number, padding: boolean, nowMs: number): number {
    this.#unansweredSinceMs ??= nowMs;
    this.#numberedAtMs = nowMs;
    this.#sent.add(nowMs, bytes);
    // The budget for padding is the probes'.
    const isProbe = padding && !this.#isAsking;
    this.#isAsking = false;
    return this.#history.remember(bytes, nowMs, this.#prober.sent(bytes, isProbe));
  }

  /** Records a packet whose stream carries no transport-wide sequence number. */
  unnumberedPacketSent(bytes: number, nowMs: number): void {
    this.#sent.add(nowMs, bytes);
  }

  /**
   * Records that a packet is sent again unchanged; its arrival time then says nothing about the path.
   * @param sequence Its transport-wide sequence number, if it has one.
   */
  packetRepeated(sequence: number | undefined, bytes: number, nowMs: number): void {
    this.#sent.add(nowMs, bytes);
    if (sequence === undefined) return;
    this.#nowMs = nowMs;
    this.#lost(sequence);
    const slot = this.#history.find(sequence);
    if (slot >= 0) this.#history.markReceived(slot);
  }

  /** @param sequence A transport-wide sequence number. @returns What the viewer has reported about the packet. */
  fateOf(sequence: number): PacketFate {
    return this.#history.fate(this.#history.find(sequence));
  }

  /** @param packet An RTCP packet of type 205, format 15. */
  transportFeedback(packet: Buffer, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#leastDelayMs = Number.POSITIVE_INFINITY;
    this.#leastAnswerMs = Number.POSITIVE_INFINITY;
    if (this.#heardAtMs !== undefined && nowMs - this.#heardAtMs > RESTART_MS) this.#detector.reset();
    if (!readTransportFeedback(packet, this.#visitor)) this.#rejected++;
    // It contained nothing new.
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
    this.#rate.limit(Math.max(this.#loss.limitBps, MIN_BPS));
    const isLowered = this.#rate.decreasedAtMs !== before;
    if (isLowered) this.#prober.holdUntil(nowMs + PROBE_PAUSE_MS);
    this.#constrain(isLowered || this.#loss.limitBps < this.#wantedBps, nowMs);
  }

  /**
   * Takes the viewer's own estimate (draft-alvestrand-rmcat-remb-03): an upper limit, or the estimate itself without
   * transport-wide feedback.
   */
  remb(bps: number, nowMs: number): void {
    this.#rembBps = clamp(bps);
    this.#rembUntilMs = nowMs + REMB_MS;
    if (this.#source === 'receiver-reports') this.#source = 'remb';
    this.#constrain(this.#rembBps < this.#wantedBps, nowMs);
  }

  /** @param fractionLost Loss since the last report, 0 to 1. */
  receiverReport(fractionLost: number, roundTripMs: number | undefined, nowMs: number): void {
    this.#reportedLoss += REPORTED_LOSS_GAIN * (fractionLost - this.#reportedLoss);
    this.#reports.report(fractionLost, roundTripMs, this.#sent.bps(RECEIVED_MS) ?? 0, nowMs);
    this.#reports.limit(MIN_BPS, MAX_BPS);
    this.#constrain(this.#reports.isLowered, nowMs);
  }

  /** Jitter is ignored while packets are lost, because a short queue that fills and drains looks the same. */
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
    // The 24-bit reference time of 64 ms units wraps after twelve days.
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
    if (improves) this.#rate.probed(Math.min(bps, MAX_BPS));
    this.#prober.judged(improves, this.#nowMs);
  }
}

function clamp(bps: number): number {
  return Math.min(Math.max(bps, MIN_BPS), MAX_BPS);
}
