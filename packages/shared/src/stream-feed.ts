import type { Logger } from './log.js';
import type { Redis } from './redis.js';

const RETRY_MS = 500;
const BATCH = 256;

/** What was read of a stream. */
export interface Page<T> {
  /** Oldest first. Entries that the reader passes over are not among them. */
  readonly entries: readonly T[];
  /** Where reading goes on: the id of the last entry read, whether it is among {@link entries} or not. */
  readonly lastId: string;
  /** Whether there may be more. */
  readonly more: boolean;
}

/** Reads entries after a place in a stream, so many at the most. */
export type ReadAfter<T> = (afterId: string, limit: number) => Promise<Page<T>>;

/**
 * Streams in Redis, followed by this process over one subscription for all of them. The stream has the entries; pub/sub only
 * says when to read on. So a message that is lost costs time, never an entry.
 */
export class StreamFeed {
  readonly #subscriber: Redis;
  readonly #logger: Logger;
  readonly #followers = new Map<string, Set<Follower>>();

  /** @param subscriber a connection used for nothing else, that waits for reconnection; the caller closes it. */
  constructor(subscriber: Redis, logger: Logger) {
    this.#subscriber = subscriber;
    this.#logger = logger;
    subscriber.on('message', (channel: string) => this.#wake(channel));
    subscriber.on('ready', () => this.#subscribe([...this.#followers.keys()]));
  }

  /** Every entry after `afterId` (`0`: from the beginning), in order. → stops it. */
  follow<T extends { readonly id: string }>(
    channel: string,
    afterId: string,
    read: ReadAfter<T>,
    onEntry: (entry: T) => void,
  ): () => void {
    const follower = new Follower(this.#logger, channel, makeReader(afterId, read, onEntry));
    const others = this.#followers.get(channel);
    if (others) others.add(follower);
    else {
      this.#followers.set(channel, new Set([follower]));
      // Subscribed first and read then: nothing falls in between.
      this.#subscribe([channel]);
    }
    follower.wake();
    return () => this.#unfollow(channel, follower);
  }

  #unfollow(channel: string, follower: Follower): void {
    follower.stop();
    const followers = this.#followers.get(channel);
    if (!followers?.delete(follower) || followers.size > 0) return;
    this.#followers.delete(channel);
    this.#subscriber.unsubscribe(channel).catch(() => {});
  }

  /** Also after the connection was lost: what was said meanwhile is read when the subscription stands again. */
  #subscribe(channels: string[]): void {
    if (channels.length === 0) return;
    this.#subscriber.subscribe(...channels).then(
      () => {
        for (const channel of channels) this.#wake(channel);
      },
      () => {},
    );
  }

  #wake(channel: string): void {
    for (const follower of this.#followers.get(channel) ?? []) follower.wake();
  }
}

/** Reads on and hands out; → whether there may be more. `isStopped` is asked between entries. */
type Reader = (isStopped: () => boolean) => Promise<boolean>;

function makeReader<T extends { readonly id: string }>(
  afterId: string,
  read: ReadAfter<T>,
  onEntry: (entry: T) => void,
): Reader {
  let cursor = afterId;
  return async (isStopped) => {
    const { entries, lastId, more } = await read(cursor, BATCH);
    for (const entry of entries) {
      if (isStopped()) return false;
      cursor = entry.id;
      onEntry(entry);
    }
    cursor = lastId;
    return more;
  };
}

/** Reads one stream on from where it is, one read at a time. */
class Follower {
  readonly #logger: Logger;
  readonly #channel: string;
  readonly #reader: Reader;
  #stale = false;
  #reading = false;
  #stopped = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(logger: Logger, channel: string, reader: Reader) {
    this.#logger = logger;
    this.#channel = channel;
    this.#reader = reader;
  }

  wake(): void {
    this.#stale = true;
    if (!this.#reading && !this.#stopped) void this.#read();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#retry);
  }

  async #read(): Promise<void> {
    this.#reading = true;
    try {
      while (this.#stale && !this.#stopped) {
        this.#stale = false;
        if (await this.#reader(() => this.#stopped)) this.#stale = true;
      }
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message, channel: this.#channel }, 'reading a stream failed');
      if (!this.#stopped) this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    } finally {
      this.#reading = false;
    }
  }
}
