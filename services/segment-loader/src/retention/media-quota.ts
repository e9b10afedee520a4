import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AvatarStore, Logger, MediaStore, SessionRegistry } from '@humancast/shared';
import type { RetentionMetrics } from './retention-metrics.js';
import type { SegmentArchive } from './segment-archive.js';

/** Number of segments counted at once; between batches, the event loop is yielded. */
const BATCH = 500;
/** Share of the quota freed in addition when an eviction is necessary, so that the next requests need no recount. */
const SLACK_SHARE = 0.01;
/** A segment used within this time is never evicted, because it may be playing. */
const IN_USE_SECONDS = 60;

export interface QuotaParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'ids'>;
  readonly archive: Pick<SegmentArchive, 'forget'>;
  /** Quota in bytes; 0: none. */
  readonly limitBytes: () => Promise<number>;
  /** IDs of segments that sessions have queued or are playing. */
  readonly queued: () => Promise<ReadonlySet<string>>;
  readonly metrics: RetentionMetrics;
  readonly logger: Logger;
}

/** The ledger's record of a stored segment. */
interface Entry {
  readonly id: string;
  readonly bytes: number;
  /** `false` for an open segment, which still grows. */
  readonly complete: boolean;
  /** `undefined` if the segment is pinned. */
  readonly ttlSeconds: number | undefined;
  /** Time since the last use at the last count, s. */
  readonly idleSeconds: number;
}

/**
 * Keeps the size of the segments in the media store below the quota by evicting the least recently used; pinned ones stay.
 * Its ledger of all segments makes {@link makeRoom} constant-time. All segments are examined only by {@link recount}, which
 * asks the store for one number each, and when there seems to be no room.
 */
export class MediaQuota {
  readonly #parts: QuotaParts;
  readonly #ledger = new Map<string, Entry>();
  /** Bytes of the ledger, plus those reserved by {@link makeRoom} since the last count. */
  #usedBytes = 0;
  #counted = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: QuotaParts) {
    this.#parts = parts;
  }

  /** Makes room for additional bytes; calls run one after the other. @returns Whether there is room. */
  makeRoom(bytes: number): Promise<boolean> {
    return this.#inTurn(() => this.#makeRoom(bytes));
  }

  /** Recounts the segments and evicts those above the quota. */
  recount(): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#count();
      return this.#makeRoom(0);
    });
  }

  /** @returns The bytes that fit without an eviction; infinite without a quota. */
  async freeBytes(): Promise<number> {
    const limit = await this.#parts.limitBytes();
    if (limit === 0) return Number.POSITIVE_INFINITY;
    await this.#inTurn(() => this.#count());
    return limit - this.#usedBytes;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #makeRoom(bytes: number): Promise<boolean> {
    const { limitBytes, metrics } = this.#parts;
    const limit = await limitBytes();
    if (limit > 0 && !(this.#counted && this.#usedBytes + bytes <= limit)) {
      await this.#count();
      if (this.#usedBytes + bytes > limit) await this.#evictTo(limit - bytes - limit * SLACK_SHARE, limit - bytes);
    }
    const isRoom = limit === 0 || this.#usedBytes + bytes <= limit;
    if (isRoom) this.#usedBytes += bytes;
    metrics.bytes.set(this.#usedBytes);
    metrics.quotaBytes.set(limit);
    return isRoom;
  }

  /** Updates the ledger: asks for the existence and time to live of each segment, and for the manifest of new ones only. */
  async #count(): Promise<void> {
    const { store, avatars } = this.#parts;
    const ids = (await Promise.all((await avatars.ids()).map((avatar) => store.ids(avatar)))).flat();
    const known = new Set(ids);
    for (const id of this.#ledger.keys()) if (!known.has(id)) this.#ledger.delete(id);
    for (let from = 0; from < ids.length; from += BATCH) {
      const batch = ids.slice(from, from + BATCH);
      const left = await store.secondsLeft(batch);
      await Promise.all(batch.map((id, i) => this.#note(id, left[i])));
      await nextTurn();
    }
    this.#usedBytes = 0;
    for (const { bytes } of this.#ledger.values()) this.#usedBytes += bytes;
    this.#counted = true;
  }

  async #note(id: string, secondsLeft: number | undefined): Promise<void> {
    if (secondsLeft === undefined) {
      this.#ledger.delete(id);
      return;
    }
    const known = this.#ledger.get(id);
    const isPinned = secondsLeft === Number.POSITIVE_INFINITY;
    if (known?.complete && isPinned && known.ttlSeconds === undefined) return;
    if (known?.complete && !isPinned && known.ttlSeconds !== undefined && known.ttlSeconds >= secondsLeft) {
      this.#ledger.set(id, { ...known, idleSeconds: known.ttlSeconds - secondsLeft });
      return;
    }
    const [usage, manifest] = await Promise.all([this.#parts.store.usage(id), this.#parts.store.getManifest(id)]);
    if (!usage) {
      this.#ledger.delete(id);
      return;
    }
    const { bytes, retention, idleSeconds } = usage;
    const ttlSeconds = retention.pinned ? undefined : retention.ttlSeconds;
    this.#ledger.set(id, { id, bytes, idleSeconds, ttlSeconds, complete: manifest?.state !== 'open' });
  }

  /**
   * Evicts segments, least recently used first, until `targetBytes` are used. Below `limitBytes`, it stops before a segment
   * that is larger than the rest of the slack.
   */
  async #evictTo(targetBytes: number, limitBytes: number): Promise<void> {
    const evictable = await this.#evictable();
    for (const entry of evictable) {
      if (this.#usedBytes <= targetBytes) break;
      // The slack alone does not justify evicting a large segment.
      if (this.#usedBytes <= limitBytes && this.#usedBytes - entry.bytes < targetBytes) break;
      await this.#evict(entry);
      this.#ledger.delete(entry.id);
      this.#usedBytes -= entry.bytes;
    }
  }

  /** @returns The evictable entries, least recently used first. */
  async #evictable(): Promise<Entry[]> {
    const queued = await this.#parts.queued();
    return [...this.#ledger.values()]
      .filter(({ id, complete, ttlSeconds, idleSeconds }) => {
        return complete && ttlSeconds !== undefined && idleSeconds >= IN_USE_SECONDS && !queued.has(id);
      })
      .sort((a, b) => b.idleSeconds - a.idleSeconds);
  }

  async #evict({ id, bytes, idleSeconds }: Entry): Promise<void> {
    const { store, archive, metrics, logger } = this.#parts;
    await archive.forget([id]); // first, or the segment would be taken for lost and restored
    await store.delete(id);
    metrics.evictions.inc();
    logger.info({ segment: id, bytes, idleSeconds }, 'segment evicted');
  }
}

/** @returns The IDs of segments in the queues of all sessions, which must not be evicted. */
export async function queuedSegments(
  registry: Pick<SessionRegistry, 'outlines' | 'queue'>,
): Promise<ReadonlySet<string>> {
  const sessions = await registry.outlines();
  const queues = await Promise.all(sessions.map(({ id }) => registry.queue(id)));
  return new Set(queues.flat().map(({ segment }) => segment));
}
