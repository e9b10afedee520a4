import type { SegmentManifest } from '@humancast/shared';
import type { Clip } from '../playout/clip.js';

/** Media that must be in memory before a clip can start. */
const START_SAMPLES = 960;

/**
 * Plays the idle clips of one session in order. The next one is always in memory before it is needed, because a barge-in
 * needs it immediately.
 */
export class IdleLoop {
  readonly #nextManifest: (after: string | undefined) => SegmentManifest | undefined;
  readonly #open: (manifest: SegmentManifest) => Clip;
  #upcoming: Clip | undefined;
  /** Start position of the upcoming clip, media-clock samples; 0 unless another host was showing it. */
  #fromSamples = 0;
  #last: string | undefined;

  constructor(
    nextManifest: (after: string | undefined) => SegmentManifest | undefined,
    open: (manifest: SegmentManifest) => Clip,
  ) {
    this.#nextManifest = nextManifest;
    this.#open = open;
  }

  /** Starts with a clip at a position. Call it before anything else. */
  resumeAt(manifest: SegmentManifest, positionSamples: number): void {
    this.#fromSamples = Math.min(positionSamples, manifest.durationSamples);
    this.#hold(manifest);
  }

  /** Starts with the clip after another one. Call it before anything else. */
  startAfter(segment: string): void {
    this.#last = segment;
    this.prepare();
  }

  /** Fetches the beginning of the upcoming clip. Cheap once that is done. */
  prepare(): void {
    if (!this.#upcoming) {
      const manifest = this.#nextManifest(this.#last);
      if (!manifest) return;
      this.#fromSamples = 0;
      this.#hold(manifest);
    }
    this.#upcoming?.follow(this.#fromSamples);
  }

  /** Continues with another playlist: the upcoming clip is replaced by the first one of that. */
  change(): void {
    this.release();
    this.#last = undefined;
    this.prepare();
  }

  /** Whether the next clip can be played at once. */
  get isReady(): boolean {
    this.prepare();
    const clip = this.#upcoming;
    return clip?.availability(this.#fromSamples, this.#startOf(clip)) === 'ready';
  }

  /** @returns The next clip if it can be played at once. */
  take(): Clip | undefined {
    this.prepare();
    const clip = this.#upcoming;
    if (!clip) return undefined;
    const availability = clip.availability(this.#fromSamples, this.#startOf(clip));
    if (availability === 'late') return undefined;
    this.#upcoming = undefined;
    if (availability === 'gone') {
      clip.release();
      return undefined;
    }
    this.prepare();
    return clip;
  }

  /** @returns Where the part of a clip ends that must be in memory. */
  #startOf({ durationSamples }: Clip): number {
    return Math.min(this.#fromSamples + START_SAMPLES, durationSamples);
  }

  /** The clip that comes next, and where it is entered. */
  get upcoming(): { segment: string; seq: number; positionSamples: number } | undefined {
    return this.#upcoming && { segment: this.#upcoming.segment, seq: 0, positionSamples: this.#fromSamples };
  }

  release(): void {
    this.#upcoming?.release();
    this.#upcoming = undefined;
  }

  #hold(manifest: SegmentManifest): void {
    this.#last = manifest.id;
    this.#upcoming = this.#open(manifest);
  }
}
