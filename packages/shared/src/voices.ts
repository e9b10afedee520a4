import type { Heard } from '@humancast/protocol';
import { voicesChannel } from './keys.js';
import { packHeard, unpackHeard } from './messages/heard.js';
import { reasonOf, unreadableRecords } from './records/unreadable.js';
import type { Redis } from './redis.js';

/** Frames that may be on their way to Redis; more are dropped, because voices must not fill memory while it is slow. */
const MOST_IN_FLIGHT = 100;
/** Every tenth frame is published even without a listener, to detect new listeners. */
const UNHEARD_STEP = 10;

/** Publishes voices. They are passed on to whoever listens at the moment, and stored nowhere, not even in memory. */
export class VoicePublisher {
  readonly #redis: Redis;
  /** Frames left out since the last one that nobody received, by session with a silent audience. */
  readonly #unheard = new Map<string, number>();
  #inFlight = 0;
  #dropped = 0;

  /** @param redis redis-media, which writes nothing to disk. */
  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Number of frames dropped because Redis was slow or away. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @param pcm Copied before the call returns. */
  publish(session: string, heard: Heard, pcm: Int16Array): void {
    const skipped = this.#unheard.get(session);
    if (skipped !== undefined && skipped < UNHEARD_STEP - 1) {
      this.#unheard.set(session, skipped + 1);
      return;
    }
    if (this.#inFlight >= MOST_IN_FLIGHT) {
      this.#dropped++;
      return;
    }
    this.#inFlight++;
    const message = packHeard({ heard, pcm: Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength) });
    this.#redis.publish(voicesChannel(session), message).then(
      (listeners) => {
        this.#inFlight--;
        if (listeners === 0) this.#unheard.set(session, 0);
        else this.#unheard.delete(session);
      },
      () => {
        this.#inFlight--;
        this.#dropped++;
      },
    );
  }

  /** Forgets a session. */
  forget(session: string): void {
    this.#unheard.delete(session);
  }
}

type Listener = (heard: Heard, pcm: Buffer) => void;

/** Receives the voices of sessions over one subscription. */
export class VoiceFeed {
  readonly #subscriber: Redis;
  readonly #listeners = new Map<string, Set<Listener>>();

  /** @param subscriber A connection to redis-media used for nothing else; the caller closes it. */
  constructor(subscriber: Redis) {
    this.#subscriber = subscriber;
    subscriber.on('messageBuffer', (channel: Buffer, message: Buffer) => this.#deliver(channel.toString(), message));
  }

  /** @returns A function that stops it. */
  follow(session: string, listener: Listener): () => void {
    const channel = voicesChannel(session);
    const others = this.#listeners.get(channel);
    if (others) others.add(listener);
    else {
      this.#listeners.set(channel, new Set([listener]));
      this.#subscriber.subscribe(channel).catch(() => {});
    }
    return () => {
      const listeners = this.#listeners.get(channel);
      if (!listeners?.delete(listener) || listeners.size > 0) return;
      this.#listeners.delete(channel);
      this.#subscriber.unsubscribe(channel).catch(() => {});
    };
  }

  #deliver(channel: string, message: Buffer): void {
    const listeners = this.#listeners.get(channel);
    if (!listeners) return;
    try {
      const { heard, pcm } = unpackHeard(message);
      for (const listener of listeners) listener(heard, pcm);
    } catch (error) {
      unreadableRecords.add('voice', channel, reasonOf(error));
    }
  }
}
