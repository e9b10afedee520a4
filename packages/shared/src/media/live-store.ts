import type { LivePart } from './live-part.js';

export interface LiveEntry {
  /** Position of the part; only the store can compare positions. */
  readonly id: string;
  readonly part: LivePart;
}

/**
 * The newest part of open segments. The loader appends each frame and piece of audio as it is made, and also writes complete
 * GOPs and PCM chunks to the media store; what is stored there may be trimmed here. Conformance suite of writer and reader:
 * `testing/live-store-suite.ts`.
 */
export interface LiveWriter {
  /**
   * Appends parts in order and notifies followers.
   * @returns The position of the last.
   * @throws HumancastError `media_store_full`.
   */
  append(segment: string, parts: readonly LivePart[]): Promise<string>;
  /** Removes everything before a position. */
  trim(segment: string, beforeId: string): Promise<void>;
  /** Sets the time after which all of it expires without another {@link append}, s. */
  expire(segment: string, seconds: number): Promise<void>;
}

export interface LiveReader {
  /**
   * Passes on every present and future part, in order and once. An unreadable part is reported and skipped.
   * @returns A function that stops it.
   */
  follow(segment: string, onEntry: (entry: LiveEntry) => void): () => void;
}
