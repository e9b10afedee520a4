import type { Logger } from './log.js';
import type { Redis } from './redis.js';

const RETRY_MS = 500;
const BATCH = 256;

/** The result of reading a stream. */
export interface Page<T> {
  /** Entries, oldest first, without those that the reader skips. */
  readonly entries: readonly T[];
  /** Id of the last entry read, including skipped ones; reading continues after it. */
  readonly lastId: string;
  /** Whether there may be more entries. */
  readonly more: boolean;
}

/** Reads a limited number of entries after an id. */
export type ReadAfter<T> = (afterId: string, limit: number) => Promise<Page<T>>;

/**
 * Follows Redis streams over one subscription. Entries are in the stream and pub/sub only announces them, so a lost message
 * costs time, never an entry.
 */
export class StreamFeed {
  readonly #subscriber: Redis;
  readonly #logger: Logger;
  readonly #followers = new Map<string, Set<Follower>>();

  /** @param subscriber A connection used for nothing else, that waits for reconnection; the caller closes it. */
  constructor(subscriber: Redis, logger: Logger) {
    this.#subscriber = subscriber;
    this.#logger = logger;
    subscriber.on('message', (channel: string) => this.#wake(channel));
    subscriber.on('ready', () => this.#subscribe([...this.#followers.keys()]));
  }

  /** Passes on every entry after `afterId` (`0`: from the beginning), in order. @returns A function that stops it. */
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
      // Subscribed before reading, so that nothing is missed in between.
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

  /** Also after the connection was lost: entries added meanwhile are read once the subscription is back. */
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

/** Reads and passes on entries; `isStopped` is checked between them. @returns Whether there may be more. */
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

/** Reads one stream from its position, one read at a time. */
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
      this.#logger.warn({ err: (error as Error).message, channel: this.#channel }, 'reading stream failed');
      if (!this.#stopped) this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    } finally {
      this.#reading = false;
    }
  }
}
