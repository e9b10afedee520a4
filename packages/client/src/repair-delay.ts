/** Measurements of the path over one second. */
export interface RepairSample {
  /**
   * Number of packets of both tracks that arrived, and that were missing at first, whether or not they were retransmitted.
   */
  received: number;
  lost: number;
  /** Missing if the browser does not report it; then no delay is added. */
  roundTripMs: number | undefined;
}

/**
 * Margin besides the round trip, ms: from a loss to its request, which waits for the next frame if the last packet of one is
 * lost, and from the retransmission to the screen. If a frame is 5 ms late, Chromium skips all frames up to an available
 * keyframe.
 */
const MARGIN_MS = 90;
/** Delay up to which further requests are waited for, ms; one request always is, up to the maximum. */
const FURTHER_REQUESTS_UNTIL_MS = 450;
/** Minimum interval at which browsers repeat a request if the round trip is shorter or unknown, ms. */
const MIN_REPEAT_MS = 100;
/** Number of samples over which the loss rate is averaged. */
const WINDOW_SAMPLES = 5;
/** Loss rate below which waiting for repairs costs more than it gains. */
const MIN_LOSS = 0.003;
/** Loss rate above which a second counts as an outage, which no retransmission repairs in time. */
const OUTAGE_LOSS = 0.3;
/** Accepted rate of unrepaired packets: one in this many, about one every 20 s. */
const PACKETS_PER_BREAK = 5000;
/** Time after which a delay that is no longer needed is reduced, ms. */
const KEEP_MS = 10_000;
/** Excess over the needed delay that is kept, because the need varies, ms. */
const HYSTERESIS_MS = 40;
/** Speed of the reduction, ms per second: audio then plays 1 % too fast, which is inaudible. */
export const REDUCTION_MS_PER_S = 10;

/**
 * Determines how long both jitter buffers delay media so that lost packets are repaired in time: one round trip for each
 * request that the loss makes likely. The delay grows at once on losses, and shrinks slowly on a clean path.
 */
export class RepairDelay {
  readonly #maxMs: number;
  readonly #window: RepairSample[] = [];
  #delayMs: number;
  #neededAtMs: number;
  #updatedAtMs: number;

  /**
   * @param options.initialMs The delay of another connection over the same network, default 0.
   * @param options.maxMs default 700.
   */
  constructor(nowMs: number, options: { initialMs?: number | undefined; maxMs?: number } = {}) {
    this.#maxMs = options.maxMs ?? 700;
    this.#delayMs = options.initialMs ?? 0;
    this.#neededAtMs = nowMs;
    this.#updatedAtMs = nowMs;
  }

  /** Total delay that the jitter buffers should have for repairs, ms; 0 if none is needed. */
  get delayMs(): number {
    return this.#delayMs;
  }

  update(sample: RepairSample, nowMs: number): void {
    const neededMs = lossOf([sample]) > OUTAGE_LOSS ? 0 : Math.min(this.#maxMs, this.#neededMs(sample));
    if (neededMs >= this.#delayMs - HYSTERESIS_MS && neededMs > 0) this.#neededAtMs = nowMs;
    if (nowMs - this.#neededAtMs > KEEP_MS) {
      const reducedMs = (REDUCTION_MS_PER_S * (nowMs - this.#updatedAtMs)) / 1000;
      this.#delayMs = Math.max(0, this.#delayMs - reducedMs);
    }
    this.#delayMs = Math.max(this.#delayMs, neededMs);
    this.#updatedAtMs = nowMs;
  }

  #neededMs({ received, lost, roundTripMs }: RepairSample): number {
    this.#window.push({ received, lost, roundTripMs });
    if (this.#window.length > WINDOW_SAMPLES) this.#window.shift();
    const loss = lossOf(this.#window);
    if (roundTripMs === undefined || lost <= 0 || loss < MIN_LOSS) return 0;
    // A packet that is requested n times stays missing with a probability of loss^(n + 1).
    const requests = Math.max(1, Math.ceil(-Math.log(PACKETS_PER_BREAK) / Math.log(Math.min(loss, 0.5))) - 1);
    const oneMs = MARGIN_MS + roundTripMs;
    const furtherMs = (requests - 1) * Math.max(roundTripMs, MIN_REPEAT_MS);
    return oneMs + Math.min(furtherMs, Math.max(0, FURTHER_REQUESTS_UNTIL_MS - oneMs));
  }
}

function lossOf(samples: readonly RepairSample[]): number {
  let lost = 0;
  let due = 0;
  for (const sample of samples) {
    lost += Math.max(0, sample.lost);
    due += Math.max(0, sample.lost) + Math.max(0, sample.received);
  }
  return due > 0 ? lost / due : 0;
}
