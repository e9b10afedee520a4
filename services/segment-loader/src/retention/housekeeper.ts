import type { AvatarStore, Clock, Logger, MediaStore } from '@humancast/shared';
import type { Deletion } from './deletion.js';
import type { MediaQuota } from './media-quota.js';
import type { ArchivedSegment, SegmentArchive } from './segment-archive.js';

/** Smaller differences in time of use are ignored, because Redis reports times to live in seconds. */
const SAME_USE_MS = 1500;
/**
 * Number of archived segments checked per run; all are checked after the store reconnected, or when one of these was lost.
 */
const LOOKED_AT = 500;
/** Interval of recounting what the store holds. */
const RECOUNT_MS = 30_000;

export interface HousekeeperParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'ids'>;
  readonly deletion: Pick<Deletion, 'completeAll'>;
  readonly archive: SegmentArchive;
  readonly quota: MediaQuota;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly logger: Logger;
}

/**
 * Maintains segments that came over the network, periodically and whenever the media store reconnects: restores lost ones
 * from the archive, deletes archived ones whose time to live has passed without use, and evicts those above the quota.
 */
export class Housekeeper {
  readonly #parts: HousekeeperParts;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  /** Whether the store may have lost anything, so that every part has to be checked. */
  #thorough = true;
  /** Index at which the next run starts. */
  #next = 0;
  #recountedMs = Number.NEGATIVE_INFINITY;
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

  /** Requests a full check: the store may be empty, or lack parts. */
  storeCameBack(): void {
    this.#thorough = true;
    this.#inspect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  #inspect(): void {
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
          if (!this.#failed) this.#parts.logger.warn({ err: error }, 'archive maintenance failed, retrying');
          this.#failed = true;
        },
      )
      .finally(() => {
        this.#looking = undefined;
        if (this.#again) {
          this.#again = false;
          this.#inspect();
        } else if (!this.#closed) this.#timer = setTimeout(() => this.#inspect(), this.#parts.intervalMs);
      });
  }

  async #bringUpToDate(thorough: boolean): Promise<void> {
    const { quota, deletion } = this.#parts;
    // Interrupted deletions come first, or their segments would be taken for lost.
    await deletion.completeAll();
    const lost = await this.#findLost(thorough);
    if (lost.length > 0) await this.#restore(lost);
    const { clock } = this.#parts;
    if (lost.length === 0 && clock.nowMs() - this.#recountedMs < RECOUNT_MS) return;
    await quota.recount();
    this.#recountedMs = clock.nowMs();
  }

  /** Checks the archive in batches, one per run; checks all of it once a segment is found to be lost. */
  async #findLost(thorough: boolean): Promise<ArchivedSegment[]> {
    const all = this.#parts.archive.list();
    const from = this.#next < all.length ? this.#next : 0;
    this.#next = from + LOOKED_AT;
    const lost = await this.#lostOf(thorough ? all : all.slice(from, from + LOOKED_AT), thorough);
    if (thorough || lost.length === 0 || all.length <= LOOKED_AT) return lost;
    return this.#lostOf(all, false);
  }

  async #lostOf(candidates: readonly ArchivedSegment[], thorough: boolean): Promise<ArchivedSegment[]> {
    const lost: ArchivedSegment[] = [];
    for (let from = 0; from < candidates.length && !this.#closed; from += LOOKED_AT) {
      const batch = candidates.slice(from, from + LOOKED_AT);
      const left = await this.#parts.store.secondsLeft(batch.map(({ id }) => id));
      for (const [i, archived] of batch.entries()) {
        if (await this.#isLost(archived, left[i], thorough)) lost.push(archived);
      }
    }
    // Most recently used first.
    return lost.sort((one, other) => other.usedAtMs - one.usedAtMs);
  }

  async #restore(lost: readonly ArchivedSegment[]): Promise<void> {
    const { archive, quota, avatars } = this.#parts;
    // Asked once, because it examines every segment.
    let freeBytes = await quota.freeBytes();
    const defined = new Set(await avatars.ids());
    for (const { id, bytes } of lost) {
      if (this.#closed) return;
      // A copy of an undefined avatar is kept: the avatar may be restored from a backup.
      if (!defined.has((await archive.about(id))?.avatar ?? '')) continue;
      // A restore evicts nothing; more recently used segments are restored first.
      if (bytes <= freeBytes && (await archive.restore(id))) freeBytes -= bytes;
    }
  }

  /**
   * @returns Whether the store lacks a segment that it should have. Updates the time of last use, and deletes an archived
   * segment whose time to live has passed without use.
   */
  async #isLost(
    { id, usedAtMs }: ArchivedSegment,
    secondsLeft: number | undefined,
    thorough: boolean,
  ): Promise<boolean> {
    const { store, archive, clock } = this.#parts;
    if (secondsLeft !== undefined && (!thorough || (await store.hasAllParts(id)))) {
      if (secondsLeft !== Number.POSITIVE_INFINITY) await this.#noteUse(id, usedAtMs, secondsLeft);
      return false;
    }
    const [about, lastUsedMs] = [await archive.about(id), await archive.lastUsed(id)];
    if (!about || lastUsedMs === undefined) return false;
    const { retention } = about;
    const isOver = !retention.pinned && clock.wallMs() - lastUsedMs > retention.ttlSeconds * 1000;
    if (isOver) await archive.forget([id]);
    return !isOver;
  }

  async #noteUse(id: string, usedAtMs: number, secondsLeft: number): Promise<void> {
    const { archive, clock } = this.#parts;
    const retention = (await archive.about(id))?.retention;
    if (!retention || retention.pinned) return;
    const usedMs = clock.wallMs() - Math.max(0, retention.ttlSeconds - secondsLeft) * 1000;
    if (Math.abs(usedMs - usedAtMs) > SAME_USE_MS) await archive.used(id, usedMs);
  }
}
