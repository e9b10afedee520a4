import type { ServerResponse } from 'node:http';
import {
  ConcurrencyLimiter,
  type Counted,
  HumancastError,
  type SessionRecord,
  type SessionRegistry,
  type SignalingConfig,
} from '@humancast/shared';
import type { SignalingMetrics } from '../metrics.js';
import type { EventFeed } from './event-feed.js';
import { EventStream } from './event-stream.js';

const EVENT_ID = /^\d{1,20}-\d{1,20}$/;
const FULL_RETRY_SECONDS = 5;

export interface StreamStart {
  /** The `Last-Event-ID` of a reader that reconnects. */
  lastEventId: string | undefined;
  /** Whether a new reader also gets past events. */
  fromStart: boolean;
  /** Whether messages between pages and producers are sent, too; they are not for the session's other viewers. */
  withMessages: boolean;
}

export interface EventStreamsParts {
  registry: Pick<SessionRegistry, 'get' | 'eventPage' | 'lastEventId'>;
  feed: Pick<EventFeed, 'follow'>;
  metrics: Pick<SignalingMetrics, 'eventStreams' | 'errors'>;
}

export type EventStreamsOptions = Pick<
  SignalingConfig,
  'eventStreamLimit' | 'eventStreamsPerSession' | 'eventStreamsPerKey' | 'eventStreamsPerAddress'
> & { heartbeatMs: number; lingerMs: number };

/** Serves session events as server-sent events. */
export class EventStreams {
  readonly #parts: EventStreamsParts;
  readonly #options: EventStreamsOptions;
  readonly #perSession: ConcurrencyLimiter;
  readonly #perKey: ConcurrencyLimiter;
  readonly #perNetwork: ConcurrencyLimiter;
  readonly #open = new Set<EventStream>();
  /** Counted readers: those with an open stream, and those whose session is being looked up. */
  #reservations = 0;
  #closed = false;

  constructor(parts: EventStreamsParts, options: EventStreamsOptions) {
    this.#parts = parts;
    this.#options = options;
    const limiter = (setting: string, limit: number) =>
      new ConcurrencyLimiter({ setting, what: 'event streams', limit });
    this.#perSession = limiter('EVENT_STREAMS_PER_SESSION', options.eventStreamsPerSession);
    this.#perKey = limiter('EVENT_STREAMS_PER_KEY', options.eventStreamsPerKey);
    this.#perNetwork = limiter('EVENT_STREAMS_PER_ADDRESS', options.eventStreamsPerAddress);
  }

  /**
   * Streams until the session ends or the reader disconnects. A reader that has already seen the end gets 204, which keeps a
   * browser from reconnecting (HTML standard, §9.2.3). A reader may disconnect at any time without leaving anything behind.
   * @throws HumancastError `session_not_found`, `session_ended`, `bad_request`, `unavailable`, `too_many_connections`.
   */
  async serve(session: string, start: StreamStart, reader: Counted, response: ServerResponse): Promise<void> {
    // A connection that is already closed has emitted `close` before, so nothing would free its reservation.
    if (response.destroyed) return;
    response.once('close', this.#takePlace(session, reader));
    const { registry } = this.#parts;
    const record = await registry.get(session);
    const after = await this.#startAfter(record, start);
    const nothingLeft = record.state === 'ended' && (await registry.eventPage(session, after, 1)).lastId === after;
    if (response.destroyed) return;
    if (this.#closed) throw new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    if (nothingLeft) response.writeHead(204).end();
    else this.#stream(session, after, start.withMessages, response);
  }

  /** Ends all streams and rejects new ones. */
  closeAll(): void {
    this.#closed = true;
    for (const stream of this.#open) stream.end();
  }

  /** @returns A function that frees the reservation. */
  #takePlace(session: string, { key, network }: Counted): () => void {
    if (this.#reservations >= this.#options.eventStreamLimit) {
      throw new HumancastError('unavailable', {
        detail: 'as many event streams are open here as allowed; the limit is EVENT_STREAM_LIMIT',
        retryAfterSeconds: FULL_RETRY_SECONDS,
        extra: { limit: 'EVENT_STREAM_LIMIT' },
      });
    }
    const releaseReader = key === undefined ? this.#perNetwork.acquire(network) : this.#perKey.acquire(key);
    let releaseSession: () => void;
    try {
      releaseSession = this.#perSession.acquire(session);
    } catch (error) {
      releaseReader();
      throw error;
    }
    this.#reservations++;
    return () => {
      this.#reservations--;
      releaseReader();
      releaseSession();
    };
  }

  #stream(session: string, after: string, withMessages: boolean, response: ServerResponse): void {
    const { metrics, feed } = this.#parts;
    let unfollow = () => {};
    const stream = new EventStream(response, {
      ...this.#options,
      onSlow: () => {
        metrics.errors.inc({ code: 'slow_reader' });
        unfollow();
      },
      onClose: () => {
        unfollow();
        this.#open.delete(stream);
        metrics.eventStreams.set(this.#open.size);
      },
    });
    this.#open.add(stream);
    metrics.eventStreams.set(this.#open.size);
    unfollow = feed.follow(session, after, (event) => {
      if (withMessages || !event.type.endsWith('.message')) stream.send(event);
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
    return this.#parts.registry.lastEventId(id);
  }
}
