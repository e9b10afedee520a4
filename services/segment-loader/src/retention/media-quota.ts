import type { AvatarStore, Logger, MediaStore, SegmentUsage } from '@humancast/shared';
import type { RetentionMetrics } from './retention-metrics.js';
import type { SegmentArchive } from './segment-archive.js';

/** Used within this is in use, whoever says otherwise: it may be in the middle of being played. */
const IN_USE_SECONDS = 60;

export interface QuotaParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'list'>;
  readonly archive: Pick<SegmentArchive, 'forget'>;
  /** Bytes; 0: no quota. */
  readonly limitBytes: () => Promise<number>;
  /** Segments that sessions have queued or are playing. */
  readonly queued: () => Promise<ReadonlySet<string>>;
  readonly metrics: RetentionMetrics;
  readonly logger: Logger;
}

interface Entry extends SegmentUsage {
  readonly id: string;
  readonly complete: boolean;
}

/** Keeps what segments take up in the media store within bounds: who was used least recently goes first, but what is pinned stays. */
export class MediaQuota {
  readonly #parts: QuotaParts;
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: QuotaParts) {
    this.#parts = parts;
  }

  /** Makes room for so many bytes more. One call after the other. → whether there is. */
  makeRoom(bytes: number): Promise<boolean> {
    const room = this.#last.then(() => this.#makeRoom(bytes));
    this.#last = room.catch(() => {});
    return room;
  }

  /** Bytes that fit without anything having to go; infinite without a quota. */
  async freeBytes(): Promise<number> {
    const limit = await this.#parts.limitBytes();
    return limit === 0 ? Number.POSITIVE_INFINITY : limit - bytesOf(await this.#entries());
  }

  async #makeRoom(bytes: number): Promise<boolean> {
    const { limitBytes, metrics } = this.#parts;
    const limit = await limitBytes();
    const entries = await this.#entries();
    let used = bytesOf(entries);
    if (limit > 0 && used + bytes > limit) {
      for (const entry of await this.#evictable(entries)) {
        if (used + bytes <= limit) break;
        await this.#evict(entry);
        used -= entry.bytes;
      }
    }
    metrics.bytes.set(used);
    metrics.quotaBytes.set(limit);
    return limit === 0 || used + bytes <= limit;
  }

  async #entries(): Promise<Entry[]> {
    const { store, avatars } = this.#parts;
    const lists = await Promise.all((await avatars.list()).map(({ id }) => store.list(id)));
    const entries = await Promise.all(
      lists.flat().map(async ({ id, state }) => {
        const usage = await store.usage(id);
        return usage ? [{ id, complete: state !== 'open', ...usage }] : [];
      }),
    );
    return entries.flat();
  }

  /** Least recently used first. */
  async #evictable(entries: readonly Entry[]): Promise<Entry[]> {
    const queued = await this.#parts.queued();
    return entries
      .filter(({ id, complete, retention, idleSeconds }) => {
        return complete && !retention.pinned && idleSeconds >= IN_USE_SECONDS && !queued.has(id);
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

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}
