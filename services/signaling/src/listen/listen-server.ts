import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { idSchema, listenRateSchema } from '@humancast/protocol';
import {
  ConcurrencyLimiter,
  HumancastError,
  parseRequest,
  rejectUpgrade,
  type SessionRegistry,
  toHumancastError,
  type VoiceFeed,
} from '@humancast/shared';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Access } from '../auth/access.js';
import type { EventFeed } from '../events/event-feed.js';
import type { KnownHosts } from '../http/known-hosts.js';
import type { Limits } from '../limits/limits.js';
import type { SignalingMetrics } from '../metrics.js';
import { Listener } from './listener.js';

const PATH = /^\/v1\/sessions\/([^/]+)\/listen$/;
/** A listener sends nothing. */
const MESSAGE_LIMIT_BYTES = 1024;

export interface ListenServerParts {
  readonly access: Access;
  readonly hosts: KnownHosts;
  readonly limits: Limits;
  readonly registry: Pick<SessionRegistry, 'get' | 'lastEventId'>;
  readonly feed: Pick<EventFeed, 'follow'>;
  readonly voices: Pick<VoiceFeed, 'follow'>;
  readonly metrics: SignalingMetrics;
}

/** Admits producers to `WS /v1/sessions/:id/listen`. */
export class ListenServer {
  readonly #parts: ListenServerParts;
  readonly #heartbeatMs: number;
  readonly #perSession: ConcurrencyLimiter;
  readonly #wss = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_LIMIT_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
  });
  readonly #listeners = new Set<Listener>();
  #closed = false;

  constructor(parts: ListenServerParts, options: { listenersPerSession: number; heartbeatMs: number }) {
    this.#parts = parts;
    this.#heartbeatMs = options.heartbeatMs;
    this.#perSession = new ConcurrencyLimiter({
      setting: 'LISTENERS_PER_SESSION',
      what: 'listeners',
      limit: options.listenersPerSession,
    });
  }

  /** @returns Whether an upgrade is for this server. */
  takes({ url = '' }: IncomingMessage): boolean {
    return PATH.test(url.split('?', 1)[0] ?? '');
  }

  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // Until ws takes over, an error of the connection must not crash the process.
    socket.on('error', () => socket.destroy());
    try {
      const { session, rate } = await this.#admit(request);
      const after = await this.#parts.registry.lastEventId(session);
      const release = this.#perSession.acquire(session);
      let accepted = false;
      // The callback runs synchronously, or never if the handshake is invalid.
      this.#wss.handleUpgrade(request, socket, head, (ws) => {
        accepted = true;
        this.#accept(ws, { session, rate, after }, release);
      });
      if (!accepted) release();
    } catch (thrown) {
      const error = toHumancastError(thrown);
      this.#parts.metrics.countError(error);
      rejectUpgrade(socket, error);
    }
  }

  /** Disconnects all listeners, which find another process, and rejects new ones. */
  close(): void {
    this.#closed = true;
    for (const listener of this.#listeners) listener.fail(new HumancastError('unavailable', 'restarting'));
    this.#wss.close();
  }

  async #admit(request: IncomingMessage): Promise<{ session: string; rate: number }> {
    const { access, hosts, limits, registry } = this.#parts;
    if (this.#closed) throw new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    hosts.require(request);
    limits.requireRequest(request);
    const caller = await access.callerOf(request.headers.authorization);
    access.requireKey(caller);
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    const id = idSchema.safeParse(PATH.exec(path)?.[1]);
    if (!id.success) throw new HumancastError('session_not_found');
    await access.requireSession(caller, id.data, 'listen');
    if ((await registry.get(id.data)).state === 'ended') throw new HumancastError('session_ended');
    const rate = parseRequest(listenRateSchema, new URLSearchParams(query).get('rate') ?? undefined);
    return { session: id.data, rate: Number(rate) };
  }

  #accept(
    ws: WebSocket,
    { session, rate, after }: { session: string; rate: number; after: string },
    release: () => void,
  ): void {
    const { voices, feed, metrics } = this.#parts;
    const listener = new Listener(ws, {
      rate,
      heartbeatMs: this.#heartbeatMs,
      onDropped: (ms) => metrics.droppedVoice.inc(ms / 1000),
      onClosed: () => {
        release();
        unhear();
        unfollow();
        this.#listeners.delete(listener);
        metrics.listeners.set(this.#listeners.size);
      },
    });
    this.#listeners.add(listener);
    metrics.listeners.set(this.#listeners.size);
    const unhear = voices.follow(session, (heard, pcm) => listener.hear(heard, pcm));
    const unfollow = feed.follow(session, after, (event) => {
      if (event.type === 'session.ended') listener.fail(new HumancastError('session_ended', event.reason));
    });
  }
}
