import type { SegmentManifest } from '@humancast/shared';
import type { Clip } from '../playout/clip.js';

/** A blink: less than this in memory is not enough to start on. */
const START_SAMPLES = 960;

/**
 * One session's idle clips: the next one is always in memory before it is needed, because a barge-in needs it at once.
 */
export class IdleReel {
  readonly #nextManifest: (after: string | undefined) => SegmentManifest | undefined;
  readonly #open: (manifest: SegmentManifest) => Clip;
  #upcoming: Clip | undefined;
  #last: string | undefined;

  constructor(
    nextManifest: (after: string | undefined) => SegmentManifest | undefined,
    open: (manifest: SegmentManifest) => Clip,
  ) {
    this.#nextManifest = nextManifest;
    this.#open = open;
  }

  /** Fetches the upcoming clip's beginning. Cheap when that is done. */
  prepare(): void {
    if (!this.#upcoming) {
      const manifest = this.#nextManifest(this.#last);
      if (!manifest) return;
      this.#last = manifest.id;
      this.#upcoming = this.#open(manifest);
    }
    this.#upcoming.follow(0);
  }

  /** The next clip, if it can be played at once. */
  take(): Clip | undefined {
    this.prepare();
    const clip = this.#upcoming;
    if (!clip) return undefined;
    const availability = clip.availability(0, Math.min(START_SAMPLES, clip.durationSamples));
    if (availability === 'late') return undefined;
    this.#upcoming = undefined;
    if (availability === 'gone') {
      clip.release();
      return undefined;
    }
    this.prepare();
    return clip;
  }

  release(): void {
    this.#upcoming?.release();
    this.#upcoming = undefined;
  }
}
