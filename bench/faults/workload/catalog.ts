import type { History } from '../history.ts';
import { referenceOf } from '../reference.ts';

export interface KnownFrame {
  readonly segment: string;
  readonly frame: number;
}

/** All segments that are spoken, by what their frames contain: what a viewer receives says which segment it is. */
export class Catalog {
  readonly #frames = new Map<string, KnownFrame>();
  readonly #mediaUrl: string;
  readonly #history: History;

  constructor(mediaUrl: string, history: History) {
    this.#mediaUrl = mediaUrl;
    this.#history = history;
  }

  /** Reads a segment's frames from redis-media. @throws Error when one of them is also another segment's. */
  async add(segment: string): Promise<void> {
    const { frames } = await referenceOf(this.#mediaUrl, segment);
    for (const [digest, frame] of frames) {
      const other = this.#frames.get(digest);
      if (other && other.segment !== segment) throw new Error(`segments ${segment} and ${other.segment} look alike`);
      this.#frames.set(digest, { segment, frame });
    }
    this.#history.add({ type: 'segment', segment, frames: frames.size });
  }

  /** @returns `undefined` for idle frames, and for frames of which something was lost. */
  find(digest: string): KnownFrame | undefined {
    return this.#frames.get(digest);
  }
}
