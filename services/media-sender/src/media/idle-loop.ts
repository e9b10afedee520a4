import type { SegmentManifest } from '@humancast/shared';
import type { Clip } from '../playout/clip.js';

/** A blink: less than this in memory is not enough to start on. */
const START_SAMPLES = 960;

/**
 * One session's idle clips: the next one is always in memory before it is needed, because a barge-in needs it at once.
 */
export class IdleLoop {
  readonly #nextManifest: (after: string | undefined) => SegmentManifest | undefined;
  readonly #open: (manifest: SegmentManifest) => Clip;
  #upcoming: Clip | undefined;
  /** Where the upcoming clip is begun, media-clock samples: other than 0 only for the one that another host was showing. */
  #fromSamples = 0;
  #last: string | undefined;

  constructor(
    nextManifest: (after: string | undefined) => SegmentManifest | undefined,
    open: (manifest: SegmentManifest) => Clip,
  ) {
    this.#nextManifest = nextManifest;
    this.#open = open;
  }

  /** Begins with this clip, at a position. Before anything else. */
  resumeAt(manifest: SegmentManifest, positionSamples: number): void {
    this.#fromSamples = Math.min(positionSamples, manifest.durationSamples);
    this.#hold(manifest);
  }

  /** Fetches the upcoming clip's beginning. Cheap when that is done. */
  prepare(): void {
    if (!this.#upcoming) {
      const manifest = this.#nextManifest(this.#last);
      if (!manifest) return;
      this.#fromSamples = 0;
      this.#hold(manifest);
    }
    this.#upcoming?.follow(this.#fromSamples);
  }

  /** The next clip, if it can be played at once. */
  take(): Clip | undefined {
    this.prepare();
    const clip = this.#upcoming;
    if (!clip) return undefined;
    const from = this.#fromSamples;
    const availability = clip.availability(from, Math.min(from + START_SAMPLES, clip.durationSamples));
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

  #hold(manifest: SegmentManifest): void {
    this.#last = manifest.id;
    this.#upcoming = this.#open(manifest);
  }
}
