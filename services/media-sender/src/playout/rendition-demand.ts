import type { Codec } from '@humancast/protocol';

/**
 * The renditions that a session's viewers are sent or are about to be. The renditions of a codec are rungs of a ladder; 0 is
 * the largest. Only renditions in demand are fetched.
 */
export class RenditionDemand {
  readonly #viewers = new Map<object, { readonly codec: Codec; readonly rungs: readonly number[] }>();

  /** Replaces the demand of a viewer. */
  set(viewer: object, codec: Codec, rungs: readonly number[]): void {
    this.#viewers.set(viewer, { codec, rungs });
  }

  delete(viewer: object): void {
    this.#viewers.delete(viewer);
  }

  /**
   * @returns Whether a rung is in demand. Until a codec has a viewer all its rungs are, so that the first viewer is served
   * at once.
   */
  has(codec: Codec, rung: number, rungs: number): boolean {
    let isWatched = false;
    for (const viewer of this.#viewers.values()) {
      if (viewer.codec !== codec) continue;
      isWatched = true;
      if (viewer.rungs.some((wanted) => Math.min(wanted, rungs - 1) === rung)) return true;
    }
    return !isWatched;
  }
}
