import type { History } from '../history.ts';
import { referenceOf } from '../reference.ts';

export interface KnownFrame {
  readonly segment: string;
  readonly frame: number;
}

/** All spoken segments by the content of their frames, which identifies the segment a viewer receives. */
export class Catalog {
  readonly #frames = new Map<string, KnownFrame>();
  readonly #mediaUrl: string;
  readonly #history: History;

  constructor(mediaUrl: string, history: History) {
    this.#mediaUrl = mediaUrl;
    this.#history = history;
  }

  /** Reads a segment's frames from redis-media. @throws Error if one equals a frame of another segment. */
  async add(segment: string): Promise<void> {
    const { frames } = await referenceOf(this.#mediaUrl, segment);
    for (const [digest, frame] of frames) {
      const other = this.#frames.get(digest);
      if (other && other.segment !== segment)
        throw new Error(`segments ${segment} and ${other.segment} have an equal frame`);
      this.#frames.set(digest, { segment, frame });
    }
    this.#history.add({ type: 'segment', segment, frames: frames.size });
  }

  /** @returns `undefined` for idle frames and incomplete frames. */
  find(digest: string): KnownFrame | undefined {
    return this.#frames.get(digest);
  }
}
