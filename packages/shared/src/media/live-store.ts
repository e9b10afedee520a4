import type { LivePart } from './live-part.js';

export interface LiveEntry {
  /** Its place; later ones compare as later only to the store. */
  readonly id: string;
  readonly part: LivePart;
}

/**
 * The growing end of segments that are still open. The loader appends each frame and piece of sound as it is made, and besides
 * writes complete GOPs and PCM chunks to the media store; what is stored there may be trimmed here. Conformance suite, of
 * both halves: `testing/live-store-suite.ts`.
 */
export interface LiveWriter {
  /**
   * Adds parts in order, and tells the followers. → the place of the last.
   * @throws HumancastError `media_store_full`.
   */
  append(segment: string, parts: readonly LivePart[]): Promise<string>;
  /** Lets go of everything before a place. */
  trim(segment: string, beforeId: string): Promise<void>;
  /** Lets go of all of it after so many seconds without another {@link append}. */
  expire(segment: string, seconds: number): Promise<void>;
}

export interface LiveReader {
  /**
   * Everything that is there and everything that comes, in order, each once. A part that can't be read is reported and left out.
   * → stops it.
   */
  follow(segment: string, onEntry: (entry: LiveEntry) => void): () => void;
}
