import type { ServerResponse } from 'node:http';
import { HumancastError, type SessionRecord, type SessionRegistry } from '@humancast/shared';
import type { SignalingMetrics } from '../metrics.js';
import type { EventFeed } from './event-feed.js';
import { EventStream } from './event-stream.js';

/** Streams open in this process at once. */
const STREAM_LIMIT = 5000;
const EVENT_ID = /^\d{1,20}-\d{1,20}$/;

export interface StreamStart {
  /** The `Last-Event-ID` of a reader that comes back. */
  lastEventId: string | undefined;
  /** Whether one that starts wants what has been, too. */
  fromStart: boolean;
}

/** Sessions' events as server-sent events. */
export class EventStreams {
  readonly #registry: SessionRegistry;
  readonly #feed: EventFeed;
  readonly #metrics: SignalingMetrics;
  readonly #heartbeatMs: number;
  readonly #open = new Set<EventStream>();

  constructor(registry: SessionRegistry, feed: EventFeed, metrics: SignalingMetrics, heartbeatMs: number) {
    this.#registry = registry;
    this.#feed = feed;
    this.#metrics = metrics;
    this.#heartbeatMs = heartbeatMs;
  }

  /**
   * Streams until the session has ended, or the reader goes. A reader that has seen the end already gets 204, which keeps
   * a browser from coming back (HTML standard, §9.2.3).
   * @throws HumancastError `session_not_found`, `session_ended`, `bad_request`, `unavailable`.
   */
  async serve(session: string, start: StreamStart, response: ServerResponse): Promise<void> {
    if (this.#open.size >= STREAM_LIMIT) throw new HumancastError('unavailable', { retryAfterSeconds: 5 });
    const record = await this.#registry.get(session);
    const after = await this.#startAfter(record, start);
    if (record.state === 'ended' && (await this.#registry.events(session, after, 1)).length === 0) {
      response.writeHead(204).end();
      return;
    }
    this.#stream(session, after, response);
  }

  closeAll(): void {
    for (const stream of this.#open) stream.end();
  }

  #stream(session: string, after: string, response: ServerResponse): void {
    let unfollow = () => {};
    const stream = new EventStream(response, {
      heartbeatMs: this.#heartbeatMs,
      onClose: () => {
        unfollow();
        this.#open.delete(stream);
        this.#metrics.eventStreams.set(this.#open.size);
      },
    });
    this.#open.add(stream);
    this.#metrics.eventStreams.set(this.#open.size);
    unfollow = this.#feed.follow(session, after, (event) => {
      stream.send(event);
      if (event.type === 'session.ended') stream.end();
    });
  }

  async #startAfter({ id, state }: SessionRecord, { lastEventId, fromStart }: StreamStart): Promise<string> {
    if (lastEventId !== undefined) {
      if (EVENT_ID.test(lastEventId)) return lastEventId;
      throw new HumancastError('bad_request', 'Last-Event-ID must be the id of an event of this session');
    }
    if (fromStart) return '0';
    if (state === 'ended') throw new HumancastError('session_ended');
    return this.#registry.lastEventId(id);
  }
}
