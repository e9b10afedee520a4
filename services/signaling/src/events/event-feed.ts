import { eventsChannel, type Logger, type Redis, type SessionEvent, type SessionRegistry } from '@humancast/shared';

const BATCH = 200;
const RETRY_MS = 500;

type OnEvent = (event: SessionEvent) => void;

/**
 * Sessions' events, to whoever follows them in this process. A session's stream in Redis has the events; pub/sub, over one
 * connection for all, only says when to read on. So a message that is lost costs time, never an event.
 */
export class EventFeed {
  readonly #registry: SessionRegistry;
  readonly #subscriber: Redis;
  readonly #logger: Logger;
  readonly #followers = new Map<string, Set<Follower>>();

  /** @param subscriber a connection used for nothing else, that waits for reconnection; the caller closes it. */
  constructor(registry: SessionRegistry, subscriber: Redis, logger: Logger) {
    this.#registry = registry;
    this.#subscriber = subscriber;
    this.#logger = logger;
    subscriber.on('message', (channel: string) => this.#wake(channel));
    subscriber.on('ready', () => this.#subscribe([...this.#followers.keys()]));
  }

  /** Every event after `afterId` (`0`: from the beginning), in order. → stops it. */
  follow(session: string, afterId: string, onEvent: OnEvent): () => void {
    const channel = eventsChannel(session);
    const follower = new Follower(this.#registry, this.#logger, session, afterId, onEvent);
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

/** Reads one session's stream on from where it is, one read at a time. */
class Follower {
  readonly #registry: SessionRegistry;
  readonly #logger: Logger;
  readonly #session: string;
  readonly #onEvent: OnEvent;
  #cursor: string;
  #stale = false;
  #reading = false;
  #stopped = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(registry: SessionRegistry, logger: Logger, session: string, afterId: string, onEvent: OnEvent) {
    this.#registry = registry;
    this.#logger = logger;
    this.#session = session;
    this.#cursor = afterId;
    this.#onEvent = onEvent;
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
        const events = await this.#registry.events(this.#session, this.#cursor, BATCH);
        if (events.length === BATCH) this.#stale = true;
        for (const event of events) this.#deliver(event);
      }
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message, session: this.#session }, 'reading events failed');
      if (!this.#stopped) this.#retry = setTimeout(() => this.wake(), RETRY_MS);
    } finally {
      this.#reading = false;
    }
  }

  #deliver(event: SessionEvent): void {
    if (this.#stopped) return;
    this.#cursor = event.id;
    this.#onEvent(event);
  }
}
