export type Track = 'video' | 'audio';

const TRACKS: readonly Track[] = ['video', 'audio'];
/** A track that came within this is coming. */
const COMING_MS = 500;

/**
 * Notices that only one track of a push is coming. A track is absent when nothing of it came for a while although the other
 * kept coming all the time; what was sent ahead and then paused is not missed, nor is what comes second after a pause of both. Time
 * in which we held the producer back doesn't count.
 */
export class TrackGapDetector {
  readonly #waitMs: number;
  readonly #silentMs: Record<Track, number> = { video: 0, audio: 0 };
  /** For how long the other track has been coming without it. */
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

  /** The track to be filled up to the other one, if any. */
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
