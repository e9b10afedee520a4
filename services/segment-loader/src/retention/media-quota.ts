import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AvatarStore, Logger, MediaStore, SessionRegistry } from '@humancast/shared';
import type { RetentionMetrics } from './retention-metrics.js';
import type { SegmentArchive } from './segment-archive.js';

/** Segments asked for in one go; in between, whatever else the process does has its turn. */
const BATCH = 500;
/** Of the quota, how much more than needed goes when something has to go: the next ones need not count all there is again. */
const SLACK_SHARE = 0.01;
/** Used within this is in use, whoever says otherwise: it may be in the middle of being played. */
const IN_USE_SECONDS = 60;

export interface QuotaParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'ids'>;
  readonly archive: Pick<SegmentArchive, 'forget'>;
  /** Bytes; 0: no quota. */
  readonly limitBytes: () => Promise<number>;
  /** Segments that sessions have queued or are playing. */
  readonly queued: () => Promise<ReadonlySet<string>>;
  readonly metrics: RetentionMetrics;
  readonly logger: Logger;
}

/** What is known of a segment in the store. */
interface Entry {
  readonly id: string;
  readonly bytes: number;
  /** Not open: an open one grows. */
  readonly complete: boolean;
  /** `undefined`: pinned. */
  readonly ttlSeconds: number | undefined;
  /** Seconds since it was used last, when it was counted. */
  readonly idleSeconds: number;
}

/**
 * Keeps what segments take up in the media store within bounds: who was used least recently goes first, but what is pinned stays.
 * It keeps a ledger of all segments, so that asking for room takes the same time however many there are; all of them are looked
 * at only by {@link recount}, which asks the store for one number each, and when there seems to be no room.
 */
export class MediaQuota {
  readonly #parts: QuotaParts;
  readonly #ledger = new Map<string, Entry>();
  /** Bytes of the ledger, and of what room was made for since it was counted. */
  #usedBytes = 0;
  #counted = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: QuotaParts) {
    this.#parts = parts;
  }

  /** Makes room for so many bytes more. One call after the other. → whether there is. */
  makeRoom(bytes: number): Promise<boolean> {
    return this.#inTurn(() => this.#makeRoom(bytes));
  }

  /** Counts what there is, and lets go what is too much. */
  recount(): Promise<boolean> {
    return this.#inTurn(async () => {
      await this.#count();
      return this.#makeRoom(0);
    });
  }

  /** Bytes that fit without anything having to go; infinite without a quota. */
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

  /** Brings the ledger up to date. Asks for each segment whether and for how long it is there, and only for a new one what it is. */
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
   * Lets go of segments until `targetBytes` are used, least recently used first. Below `limitBytes`, within the slack, it stops
   * before a segment that is larger than what is left of the slack.
   */
  async #evictTo(targetBytes: number, limitBytes: number): Promise<void> {
    const evictable = await this.#evictable();
    for (const entry of evictable) {
      if (this.#usedBytes <= targetBytes) break;
      // The slack alone is not worth what is used now and then.
      if (this.#usedBytes <= limitBytes && this.#usedBytes - entry.bytes < targetBytes) break;
      await this.#evict(entry);
      this.#ledger.delete(entry.id);
      this.#usedBytes -= entry.bytes;
    }
  }

  /** Least recently used first. */
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
    await archive.forget([id]); // first, or it would be taken for lost, and come back
    await store.delete(id);
    metrics.evictions.inc();
    logger.info({ segment: id, bytes, idleSeconds }, 'segment evicted: others needed the room');
  }
}

/** @returns the segments in the queues of all sessions, which must not be evicted. */
export async function queuedSegments(
  registry: Pick<SessionRegistry, 'outlines' | 'queue'>,
): Promise<ReadonlySet<string>> {
  const sessions = await registry.outlines();
  const queues = await Promise.all(sessions.map(({ id }) => registry.queue(id)));
  return new Set(queues.flat().map(({ segment }) => segment));
}
