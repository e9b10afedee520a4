import { keys, liveChannel } from '../keys.js';
import { reasonOf, unreadableRecords } from '../records/unreadable.js';
import type { Redis } from '../redis.js';
import type { Page, StreamFeed } from '../stream-feed.js';
import { type LivePart, packLivePart, unpackLivePart } from './live-part.js';
import type { LiveEntry, LiveReader, LiveWriter } from './live-store.js';
import { orFull } from './redis-media-store.js';

/** TTL of a stream that is neither appended to nor removed because the loader died, s. */
const ORPHAN_TTL_SECONDS = 600;

/** Stores each segment in a Redis stream, with one entry per part. */
export class RedisLiveWriter implements LiveWriter {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async append(segment: string, parts: readonly LivePart[]): Promise<string> {
    const key = keys.live(segment);
    const pipeline = this.#redis.pipeline();
    for (const part of parts) pipeline.xadd(key, '*', 'p', packLivePart(part));
    pipeline.expire(key, ORPHAN_TTL_SECONDS);
    pipeline.publish(liveChannel(segment), '1');
    const replies = (await pipeline.exec()) ?? [];
    const failed = replies.find(([error]) => error !== null)?.[0];
    if (failed) await orFull(Promise.reject(failed));
    return String(replies[parts.length - 1]?.[1] ?? '0');
  }

  async trim(segment: string, beforeId: string): Promise<void> {
    await this.#redis.xtrim(keys.live(segment), 'MINID', beforeId);
  }

  async expire(segment: string, seconds: number): Promise<void> {
    await this.#redis.expire(keys.live(segment), seconds);
  }
}

/** The Redis commands that {@link RedisLiveWriter} uses. */
export class RedisLiveReader implements LiveReader {
  readonly #redis: Redis;
  readonly #feed: StreamFeed;

  /** @param feed A feed of the same Redis. */
  constructor(redis: Redis, feed: StreamFeed) {
    this.#redis = redis;
    this.#feed = feed;
  }

  follow(segment: string, onEntry: (entry: LiveEntry) => void): () => void {
    return this.#feed.follow(
      liveChannel(segment),
      '0',
      (afterId, limit) => this.#read(segment, afterId, limit),
      ({ id, value }) => {
        const part = this.#parse(segment, value);
        if (part) onEntry({ id, part });
      },
    );
  }

  async #read(segment: string, afterId: string, limit: number): Promise<Page<{ id: string; value: Buffer }>> {
    const rows = await this.#redis.xrangeBuffer(keys.live(segment), `(${afterId}`, '+', 'COUNT', limit);
    const entries = rows.map(([id, fields]) => ({ id: id.toString(), value: fields[1] ?? Buffer.alloc(0) }));
    return { entries, lastId: entries.at(-1)?.id ?? afterId, more: rows.length === limit };
  }

  #parse(segment: string, value: Buffer): LivePart | undefined {
    try {
      return unpackLivePart(value);
    } catch (error) {
      unreadableRecords.add('live-part', segment, reasonOf(error));
      return undefined;
    }
  }
}
