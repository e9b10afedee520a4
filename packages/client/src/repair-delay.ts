/** Measurements of the path over one second. */
export interface RepairSample {
  /** Packets of both tracks that arrived, and that were missing at first, whether or not they were retransmitted. */
  received: number;
  lost: number;
  /** Missing if the browser does not report it; then no delay is added. */
  roundTripMs: number | undefined;
}

/**
 * Time from the loss of a packet to the request for it, which takes the next frame where it was the last of one, and from its return
 * until its frame is on the screen, ms. A frame 5 ms late makes Chromium skip all frames up to a keyframe that is there.
 */
const MARGIN_MS = 90;
/** Further requests are waited for only up to this delay, ms; one request always, up to the maximum. */
const FURTHER_REQUESTS_UNTIL_MS = 450;
/** Browsers repeat a request after a round trip, or after this if the receiver does not know the round trip, ms. */
const LEAST_REPEAT_MS = 100;
/** Number of samples over which the loss rate is averaged. */
const WINDOW_SAMPLES = 5;
/** Loss rate below which waiting for repairs costs more than it brings. */
const LEAST_LOSS = 0.003;
/** Loss rate above which a second counts as an outage, which no retransmission repairs in time. */
const OUTAGE_LOSS = 0.3;
/** Accepted rate of unrepaired packets: one in this many, about every 20 s. */
const PACKETS_PER_BREAK = 5000;
/** Time without a need for the present delay until it is reduced, ms. */
const KEEP_MS = 10_000;
/** Delay above the need that is kept, because the need varies, ms. */
const HYSTERESIS_MS = 40;
/** Speed of the reduction, ms per second: audio then plays 1 % too fast, which is inaudible. */
const GIVE_BACK_MS_PER_S = 10;

/**
 * Decides how long both jitter buffers hold media so that lost packets are repaired before they are played: a round trip for
 * each request that the loss makes likely. The delay grows at once while losses come, and shrinks slowly on a clean path.
 */
export class RepairDelay {
  readonly #maxMs: number;
  readonly #window: RepairSample[] = [];
  #delayMs: number;
  #neededAtMs: number;
  #updatedAtMs: number;

  /** @param options.initialMs the delay of another connection over the same network, default 0. @param options.maxMs default 700. */
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
      const givenBackMs = (GIVE_BACK_MS_PER_S * (nowMs - this.#updatedAtMs)) / 1000;
      this.#delayMs = Math.max(0, this.#delayMs - givenBackMs);
    }
    this.#delayMs = Math.max(this.#delayMs, neededMs);
    this.#updatedAtMs = nowMs;
  }

  #neededMs({ received, lost, roundTripMs }: RepairSample): number {
    this.#window.push({ received, lost, roundTripMs });
    if (this.#window.length > WINDOW_SAMPLES) this.#window.shift();
    const loss = lossOf(this.#window);
    if (roundTripMs === undefined || lost <= 0 || loss < LEAST_LOSS) return 0;
    // A packet that is requested n times stays missing with a probability of loss^(n + 1).
    const requests = Math.max(1, Math.ceil(-Math.log(PACKETS_PER_BREAK) / Math.log(Math.min(loss, 0.5))) - 1);
    const oneMs = MARGIN_MS + roundTripMs;
    const furtherMs = (requests - 1) * Math.max(roundTripMs, LEAST_REPEAT_MS);
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
