import type { TrackPair } from './messages.js';
import { REDUCTION_MS_PER_S } from './repair-delay.js';

/** Mean delays of both jitter buffers over about one second, on the scale of `jitterBufferTarget`, ms. */
export interface DelaySample {
  /** Target delays of the buffers, for any reason. */
  readonly target: TrackPair<number>;
  /** Delays that the network requires, without any target; missing if the browser does not report them. */
  readonly minimum: TrackPair<number | undefined>;
  /** Delay required for repairs; 0: none. */
  readonly repairMs: number;
}

/** Difference between the tracks' required delays above which both are delayed, ms, because the skew would be visible. */
const VISIBLE_SKEW_MS = 60;
/** Difference to the required delay below which the shared delay ends, ms. */
const CLOSE_MS = 10;
/** Number of calm samples that are kept, of which the oldest is used: the last ones may already be disturbed. */
const CALM_SAMPLES = 3;

/**
 * Delays both tracks by the same time beyond their buffers' delays on a calm path, so that the skew is unchanged: for
 * repairs, and while the network delays one track much more than the other. A queue that builds up does that to audio, whose
 * buffer then grows to the longest wait at once and shrinks within seconds; video follows only through this delay.
 */
export class SharedDelay {
  readonly #maxMs: number;
  #calm: TrackPair<number>[] = [];
  #base: TrackPair<number> | undefined;
  #delayMs = 0;
  #updatedAtMs: number;

  /** @param maxMs Maximum target of a buffer. */
  constructor(maxMs: number, nowMs: number) {
    this.#maxMs = maxMs;
    this.#updatedAtMs = nowMs;
  }

  /** Delay added to both tracks, ms; 0 for none. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** @returns The buffer's target for a track, ms; `undefined` without a shared delay. */
  targetMs(track: 'audio' | 'video'): number | undefined {
    return this.#base && this.#delayMs > 0 ? Math.round(this.#base[track] + this.#delayMs) : undefined;
  }

  update({ target, minimum, repairMs }: DelaySample, nowMs: number): void {
    const reducedMs = (REDUCTION_MS_PER_S * (nowMs - this.#updatedAtMs)) / 1000;
    this.#updatedAtMs = nowMs;
    const base = this.#base ?? this.#calm[0] ?? target;
    const excess = {
      audio: (minimum.audio ?? 0) - base.audio,
      video: (minimum.video ?? 0) - base.video,
    };
    const [less, more] = [Math.min(excess.audio, excess.video), Math.max(excess.audio, excess.video)];
    if (!this.#base && repairMs === 0 && more - less <= VISIBLE_SKEW_MS) {
      this.#calm = [...this.#calm, target].slice(-CALM_SAMPLES);
      return;
    }
    const maxAddedMs = Math.max(0, this.#maxMs - Math.max(base.audio, base.video));
    const wantedMs = Math.max(repairMs - base.video, more, this.#delayMs - reducedMs, 0);
    this.#delayMs = Math.round(Math.min(wantedMs, maxAddedMs));
    const isOver = repairMs === 0 && this.#delayMs - Math.max(0, less) <= CLOSE_MS;
    this.#base = isOver ? undefined : base;
    if (isOver) this.#delayMs = 0;
  }
}
