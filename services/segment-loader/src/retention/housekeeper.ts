import type { Clock, Logger, MediaStore } from '@humancast/shared';
import type { MediaQuota } from './media-quota.js';
import type { ArchivedSegment, SegmentArchive } from './segment-archive.js';

/** Redis tells times to live in seconds, so a smaller difference is none. */
const SAME_USE_MS = 1500;

export interface HousekeeperParts {
  readonly store: MediaStore;
  readonly archive: SegmentArchive;
  readonly quota: MediaQuota;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly logger: Logger;
}

/**
 * Looks after what came over the network, now and then and whenever the media store comes back: what it has lost is restored from
 * the archive, what nobody has used for its time to live goes from there too, and what is too much goes.
 */
export class Housekeeper {
  readonly #parts: HousekeeperParts;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** The store may have lost anything: every part is asked for. */
  #thorough = true;
  #again = false;
  #failed = false;
  #closed = false;

  constructor(parts: HousekeeperParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#parts.archive.open();
    this.storeCameBack();
  }

  /** It may be empty, or lack parts. */
  storeCameBack(): void {
    this.#thorough = true;
    this.#look();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #look(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    if (this.#looking) {
      this.#again = true;
      return;
    }
    const thorough = this.#thorough;
    this.#thorough = false;
    this.#looking = this.#bringUpToDate(thorough)
      .then(
        () => {
          this.#failed = false;
        },
        (error: unknown) => {
          this.#thorough ||= thorough;
          if (!this.#failed)
            this.#parts.logger.warn({ err: error }, 'the archive could not be looked after; trying again');
          this.#failed = true;
        },
      )
      .finally(() => {
        this.#looking = undefined;
        if (this.#again) {
          this.#again = false;
          this.#look();
        } else if (!this.#closed) this.#timer = setTimeout(() => this.#look(), this.#parts.intervalMs);
      });
  }

  async #bringUpToDate(thorough: boolean): Promise<void> {
    const { archive, quota } = this.#parts;
    const lost: ArchivedSegment[] = [];
    for (const archived of await archive.list()) {
      if (this.#closed) return;
      if (await this.#isLost(archived, thorough)) lost.push(archived);
    }
    // Asked once: it looks at every segment there is.
    let freeBytes = lost.length > 0 ? await quota.freeBytes() : 0;
    for (const { id, bytes } of lost) {
      if (this.#closed) return;
      // Nothing goes for it: those that were used more recently come back before.
      if (bytes <= freeBytes && (await archive.restore(id))) freeBytes -= bytes;
    }
    await quota.makeRoom(0);
  }

  /** Whether the store should have it and doesn't. Notes when it was used last; what nobody has used for its time to live goes. */
  async #isLost({ id, usedAtMs }: ArchivedSegment, thorough: boolean): Promise<boolean> {
    const { store, archive, clock } = this.#parts;
    const usage = await store.usage(id);
    if (usage && (!thorough || (await store.isWhole(id)))) {
      const usedMs = clock.wallMs() - usage.idleSeconds * 1000;
      if (!usage.retention.pinned && Math.abs(usedMs - usedAtMs) > SAME_USE_MS) await archive.used(id, usedMs);
      return false;
    }
    const header = await archive.header(id);
    if (!header) return false;
    const { retention } = header;
    const isOver = !retention.pinned && clock.wallMs() - usedAtMs > retention.ttlSeconds * 1000;
    if (isOver) await archive.forget(id);
    return !isOver;
  }
}
