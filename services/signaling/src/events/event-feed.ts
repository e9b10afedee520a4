import { type SessionEvent } from '@humancast/protocol';
import { eventsChannel, type SessionRegistry, type StreamFeed } from '@humancast/shared';

/** Delivers session events to their followers in this process. */
export class EventFeed {
  readonly #registry: SessionRegistry;
  readonly #streams: StreamFeed;

  constructor(registry: SessionRegistry, streams: StreamFeed) {
    this.#registry = registry;
    this.#streams = streams;
  }

  /** Delivers every event after `afterId` (`0`: from the beginning), in order. @returns A function that stops it. */
  follow(session: string, afterId: string, onEvent: (event: SessionEvent) => void): () => void {
    const read = (after: string, limit: number) => this.#registry.eventPage(session, after, limit);
    return this.#streams.follow(eventsChannel(session), afterId, read, onEvent);
  }
}
