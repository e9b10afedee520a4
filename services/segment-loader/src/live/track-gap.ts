export type Track = 'video' | 'audio';

const TRACKS: readonly Track[] = ['video', 'audio'];
/** A track that was received within this time counts as coming, ms. */
const COMING_MS = 500;

/**
 * Detects that only one track of a push is coming: nothing of the other was received for a while although the first kept
 * coming. Neither a pause after media sent ahead nor the later track after a pause of both counts as missing. Time during
 * which the producer was held back does not count.
 */
export class TrackGapDetector {
  readonly #waitMs: number;
  readonly #silentMs: Record<Track, number> = { video: 0, audio: 0 };
  /** How long the other track has been coming without this one, ms. */
  readonly #missedMs: Record<Track, number> = { video: 0, audio: 0 };

  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  received(track: Track): void {
    this.#silentMs[track] = 0;
    this.#missedMs[track] = 0;
  }

  advance(ms: number): void {
    for (const track of TRACKS) this.#silentMs[track] += ms;
    for (const track of TRACKS)
      this.#missedMs[track] = this.#isComing(otherThan(track)) ? this.#missedMs[track] + ms : 0;
  }

  /** @returns The track to fill up to the other one, if any. */
  get missing(): Track | undefined {
    return TRACKS.find((track) => this.#missedMs[track] >= this.#waitMs && this.#isComing(otherThan(track)));
  }

  #isComing(track: Track): boolean {
    return this.#silentMs[track] < COMING_MS;
  }
}

function otherThan(track: Track): Track {
  return track === 'video' ? 'audio' : 'video';
}
