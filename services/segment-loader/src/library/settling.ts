import type { MediaFile } from './media-file.js';

interface Sighting {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly sinceMs: number;
}

/**
 * Detects files that have stopped growing: unchanged for `settleMs`, either by the file system's clock (so that a restart
 * need not wait) or by observation (if that clock is another machine's).
 */
export class Settling {
  readonly #settleMs: number;
  #seen = new Map<string, Sighting>();

  constructor(settleMs: number) {
    this.#settleMs = settleMs;
  }

  /** @returns The settled ones of all current files; forgets files that are not given. */
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
