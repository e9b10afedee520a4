import type { MediaFile } from './media-file.js';

interface Sighting {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly sinceMs: number;
}

/**
 * Tells the files that have stopped growing: unchanged for `settleMs`, by the file system's own clock (so that a restart
 * needn't wait), or as seen by us (where the file system's clock is another machine's).
 */
export class Settling {
  readonly #settleMs: number;
  #seen = new Map<string, Sighting>();

  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  /** Those of all the files there are that have settled; files not given any more are forgotten. */
  settled(files: readonly MediaFile[], nowWallMs: number): ReadonlySet<MediaFile> {
    const seen = new Map<string, Sighting>();
    const settled = files.filter((file) => {
      const before = this.#seen.get(file.path);
      const unchanged = before?.sizeBytes === file.sizeBytes && before.modifiedMs === file.modifiedMs;
      const sighting = unchanged ? before : { ...file, sinceMs: nowWallMs };
      seen.set(file.path, sighting);
      const changedMs = Math.max(file.changedMs, file.modifiedMs);
      return nowWallMs - changedMs >= this.#settleMs || nowWallMs - sighting.sinceMs >= this.#settleMs;
    });
    this.#seen = seen;
    return new Set(settled);
  }
}
