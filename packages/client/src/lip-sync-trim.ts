import type { TrackPair } from './messages.js';

/** Measurements of both receivers over one second; values that the browser does not report are missing. */
export interface SyncSample {
  /** Delay of video relative to audio as played, ms. */
  skewMs?: number | undefined;
  delay: TrackPair<{
    /** Present target delay of the jitter buffer for any reason, on the scale of `jitterBufferTarget`, ms. */
    targetMs?: number | undefined;
    /** Delay that is needed without the trim, for the network's jitter and for repairs, ms. */
    minimumMs?: number | undefined;
  }>;
}

/** Values for `RTCRtpReceiver.jitterBufferTarget`, ms; `null` leaves the receiver to the browser. */
export type SyncTargets = Readonly<TrackPair<number | null>>;

export interface LipSyncTrimOptions {
  /**
   * Skew that is ignored, ms. Default: 3, which is imperceptible. Lasting skew is corrected slowly where small steps are
   * possible.
   */
  deadBandMs?: number;
  /** Maximum delay added to a track beyond what it needs without the trim, ms. Default: 150. */
  maxAddedMs?: number;
  /** Initial targets, from another connection over the same network. Default: none. */
  initial?: SyncTargets;
}

/** Skew above which a clock must have been stepped, ms. */
const IMPLAUSIBLE_SKEW_MS = 500;
/** Skew above which three samples suffice, ms; below it, five consistent ones are required. */
const FAR_MS = 10;
const FAR_SAMPLES = 3;
const NEAR_SAMPLES = 5;
/** Number of consistent samples that reveal half a step of the browser's 1 ms estimate; used inside the dead band. */
const FINE_SAMPLES = 20;
const FINE_MS = 1.5;
const FINE_SPREAD_MS = 2;
/** Share of the skew that a move corrects. Below 1, so that errors in the effect of moves decay instead of oscillating. */
const GAIN = 0.8;
/** Maximum move, ms. The browser stretches audio and video to the new delay, which is imperceptible up to this. */
const MAX_STEP_MS = 30;
/** Skew that is seen, ms: it is corrected in one move, which is less visible than the skew. */
const VISIBLE_MS = 60;
/** Largest of these moves, ms. Browsers change a video delay by at most 100 ms per second. */
const MAX_VISIBLE_STEP_MS = 100;
/** Number of samples ignored after a move, while the buffers are still moving. */
const SETTLE_SAMPLES = 1;
/** Number of samples ignored after {@link LipSyncTrim.shift}, which may be larger. */
const SHIFT_SETTLE_SAMPLES = 3;
/** Excess of a buffer's target over the requested one, ms, above which something else determines it. */
const HELD_TOLERANCE_MS = 5;

/**
 * Keeps video and audio in sync by delaying the early one through its receiver's jitter buffer target.
 *
 * It moves, waits until the effect is measurable, measures again, and moves again; without old samples in the loop it does
 * not oscillate. At most one track is delayed at a time, and its delay is removed before the other track gets one, so that
 * latency stays minimal.
 */
export class LipSyncTrim {
  readonly #deadBandMs: number;
  readonly #maxAddedMs: number;
  readonly #targets: TrackPair<number | null>;
  #addedMs: TrackPair<number> = { audio: 0, video: 0 };
  #window: number[] = [];
  #settling = 0;
  /** How much the targets went down in the last two samples, ms: reports are means, and browsers follow with a delay. */
  #lowered: readonly [beforeMs: number, lastMs: number] = [0, 0];

  constructor(options: LipSyncTrimOptions = {}) {
    this.#deadBandMs = options.deadBandMs ?? 3;
    this.#maxAddedMs = options.maxAddedMs ?? 150;
    this.#targets = { audio: null, video: null, ...options.initial };
  }

  get targets(): SyncTargets {
    return { ...this.#targets };
  }

  /** Delay that the targets add to each track beyond what it needs without the trim, ms, as of the last sample. */
  get addedMs(): Readonly<TrackPair<number>> {
    return this.#addedMs;
  }

  /**
   * Shifts the targets by a delay that both tracks gain or lose for another reason, without changing the trim.
   * @param byMs Signed.
   */
  shift(byMs: number): void {
    for (const track of ['audio', 'video'] as const) {
      const own = this.#targets[track];
      if (own !== null) this.#targets[track] = Math.max(0, own + byMs);
    }
    this.#lowered = [this.#lowered[1], Math.max(0, -byMs)];
    // The buffers grow over some time, each at its own speed.
    if (byMs <= 0) return;
    this.#window = [];
    this.#settling = SHIFT_SETTLE_SAMPLES;
  }

  /** Adds the next one-second sample. @returns The new targets. */
  update(sample: SyncSample): SyncTargets {
    const correctionMs = this.#decide(sample.skewMs);
    if (correctionMs !== 0) this.#move(correctionMs, sample);
    this.#addedMs = { audio: this.#added('audio', sample), video: this.#added('video', sample) };
    return this.targets;
  }

  /** @returns The delay to add to audio relative to video, ms; negative: to video; 0: none. */
  #decide(skewMs: number | undefined): number {
    if (skewMs === undefined || !(Math.abs(skewMs) <= IMPLAUSIBLE_SKEW_MS)) return 0;
    if (this.#settling > 0) {
      this.#settling--;
      return 0;
    }
    this.#window = [...this.#window, skewMs].slice(-FINE_SAMPLES);
    const latest = this.#window.slice(-NEAR_SAMPLES);
    const far = median(this.#window.slice(-FAR_SAMPLES));
    const near = median(latest);
    const isFar = latest.length >= FAR_SAMPLES && Math.abs(far) > FAR_MS;
    const isNear = latest.length >= NEAR_SAMPLES && Math.abs(near) > Math.max(this.#deadBandMs, spread(latest));
    if (isFar || isNear) return clamp(GAIN * (isFar ? far : near), this.#maxStepMs());
    return this.#decideFinely();
  }

  /** Under loss the browser's estimate jumps: only samples that agree on a visible skew allow a large move. */
  #maxStepMs(): number {
    const latest = this.#window.slice(-FAR_SAMPLES);
    const areVisible = latest.every((skewMs) => Math.abs(skewMs) > VISIBLE_MS && skewMs * (latest[0] ?? 0) > 0);
    return areVisible ? MAX_VISIBLE_STEP_MS : MAX_STEP_MS;
  }

  /** Video can be delayed by single milliseconds; audio moves in steps, so it is not moved by less. */
  #decideFinely(): number {
    if (this.#window.length < FINE_SAMPLES) return 0;
    const sorted = this.#window.toSorted((a, b) => a - b);
    const middle = sorted.slice(FINE_SAMPLES / 4, -FINE_SAMPLES / 4);
    const skewMs = middle.reduce((sum, value) => sum + value, 0) / middle.length;
    const steady = (middle.at(-1) ?? 0) - (middle[0] ?? 0) <= FINE_SPREAD_MS;
    const movesVideo = skewMs > 0 ? this.#targets.video !== null : this.#targets.audio === null;
    return steady && movesVideo && Math.abs(skewMs) > Math.min(FINE_MS, this.#deadBandMs) ? skewMs : 0;
  }

  #move(correctionMs: number, sample: SyncSample): void {
    const [early, late] = correctionMs > 0 ? (['audio', 'video'] as const) : (['video', 'audio'] as const);
    const byMs = Math.abs(correctionMs);
    const moved =
      this.#targets[late] === null ? this.#holdBack(early, byMs, sample) : this.#giveBack(late, byMs, sample);
    if (!moved) return;
    this.#window = [];
    this.#settling = SETTLE_SAMPLES;
  }

  #holdBack(track: 'audio' | 'video', byMs: number, sample: SyncSample): boolean {
    const { targetMs, minimumMs = 0 } = sample.delay[track];
    const own = this.#targets[track];
    const fromMs = own !== null && this.#holds(track, sample) ? own : (targetMs ?? 0);
    const toMs = Math.round(Math.min(fromMs + byMs, minimumMs + this.#maxAddedMs));
    if (toMs <= (own ?? 0)) return false;
    this.#targets[track] = toMs;
    return true;
  }

  #giveBack(track: 'audio' | 'video', byMs: number, sample: SyncSample): boolean {
    const toMs = Math.round((this.#targets[track] ?? 0) - byMs);
    const needed = toMs > (sample.delay[track].minimumMs ?? 0) && this.#holds(track, sample);
    this.#targets[track] = needed ? toMs : null;
    return true;
  }

  /** Whether the buffer follows the requested target, not the network's need or the browser's own synchronization. */
  #holds(track: 'audio' | 'video', sample: SyncSample): boolean {
    const own = this.#targets[track];
    const { targetMs } = sample.delay[track];
    const [beforeMs, lastMs] = this.#lowered;
    return own !== null && (targetMs === undefined || targetMs <= own + beforeMs + lastMs + HELD_TOLERANCE_MS);
  }

  #added(track: 'audio' | 'video', sample: SyncSample): number {
    const own = this.#targets[track];
    return own === null ? 0 : Math.max(0, Math.round(own - (sample.delay[track].minimumMs ?? 0)));
  }
}

/** @returns The range of the samples without the two extremes, which is due to noise. */
function spread(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted.at(-2) ?? 0) - (sorted.at(1) ?? 0);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}
