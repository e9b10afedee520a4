import type { TrackPair } from './messages.js';

/** Mean delays of both jitter buffers over about one second, on the scale of `jitterBufferTarget`, ms. */
export interface DelaySample {
  /** What the buffers aimed at, for any reason. */
  readonly target: TrackPair<number>;
  /** What the network needs, without any target; missing if the browser does not report it. */
  readonly minimum: TrackPair<number | undefined>;
  /** Delay wanted for repairs; 0: none. */
  readonly repairMs: number;
}

/** When the network needs so much more for one track than for the other, both are delayed, ms: a viewer would see the skew. */
const VISIBLE_SKEW_MS = 60;
/** The shared delay ends when it is this close to what the network needs, ms. */
const CLOSE_MS = 10;
/** Speed of the reduction, ms per second: audio then plays 1 % too fast, which is inaudible. */
const GIVE_BACK_MS_PER_S = 10;
/** Number of calm samples that are remembered: the last ones may already belong to the trouble. */
const CALM_SAMPLES = 3;

/**
 * Delays both tracks by the same time over what their buffers held on a calm path, so that the skew stays as it was: for repairs,
 * and while the network delays one track by much more than the other. A queue that builds up does that to audio, whose buffer
 * then grows to the longest wait at once and shrinks within seconds; video follows through this delay alone.
 */
export class SharedDelay {
  readonly #maxMs: number;
  #calm: TrackPair<number>[] = [];
  #base: TrackPair<number> | undefined;
  #delayMs = 0;
  #updatedAtMs: number;

  /** @param maxMs most that a buffer is made to hold. */
  constructor(maxMs: number, nowMs: number) {
    this.#maxMs = maxMs;
    this.#updatedAtMs = nowMs;
  }

  /** What is added to both tracks, ms; 0 while there is none. */
  get delayMs(): number {
    return this.#delayMs;
  }

  /** @returns the buffer's target for a track, ms; `undefined` while there is no shared delay. */
  targetMs(track: 'audio' | 'video'): number | undefined {
    return this.#base && this.#delayMs > 0 ? Math.round(this.#base[track] + this.#delayMs) : undefined;
  }

  update({ target, minimum, repairMs }: DelaySample, nowMs: number): void {
    const givenBackMs = (GIVE_BACK_MS_PER_S * (nowMs - this.#updatedAtMs)) / 1000;
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
    const mostMs = Math.max(0, this.#maxMs - Math.max(base.audio, base.video));
    const wantedMs = Math.max(repairMs - base.video, more, this.#delayMs - givenBackMs, 0);
    this.#delayMs = Math.round(Math.min(wantedMs, mostMs));
    const isOver = repairMs === 0 && this.#delayMs - Math.max(0, less) <= CLOSE_MS;
    this.#base = isOver ? undefined : base;
    if (isOver) this.#delayMs = 0;
  }
}
