import type { AvatarStore, Clock, Logger, MediaStore } from '@humancast/shared';
import type { Deletion } from './deletion.js';
import type { MediaQuota } from './media-quota.js';
import type { ArchivedSegment, SegmentArchive } from './segment-archive.js';

/** Redis tells times to live in seconds, so a smaller difference is none. */
const SAME_USE_MS = 1500;

export interface HousekeeperParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'list'>;
  readonly deletion: Pick<Deletion, 'completeAll'>;
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
    const { archive, quota, deletion } = this.#parts;
    // What was being deleted when a process died must not be taken for lost.
    await deletion.completeAll();
    const lost: ArchivedSegment[] = [];
    for (const archived of archive.list()) {
      if (this.#closed) return;
      if (await this.#isLost(archived, thorough)) lost.push(archived);
    }
    // Asked once: it looks at every segment there is.
    let freeBytes = lost.length > 0 ? await quota.freeBytes() : 0;
    const avatars = new Set((lost.length > 0 ? await this.#parts.avatars.list() : []).map(({ id }) => id));
    for (const { id, bytes } of lost) {
      if (this.#closed) return;
      // A copy whose avatar is not defined stays where it is: it may be defined again from a backup.
      if (!avatars.has((await archive.about(id))?.avatar ?? '')) continue;
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
    const [about, lastUsedMs] = [await archive.about(id), await archive.lastUsed(id)];
    if (!about || lastUsedMs === undefined) return false;
    const { retention } = about;
    const isOver = !retention.pinned && clock.wallMs() - lastUsedMs > retention.ttlSeconds * 1000;
    if (isOver) await archive.forget([id]);
    return !isOver;
  }
}
