import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Avatar, LIVE_HEADER_BYTES, turnQuerySchema } from '@humancast/protocol';
import {
  type ApiKey,
  type ApiKeys,
  type AvatarStore,
  bearerOf,
  ConcurrencyLimiter,
  HumancastError,
  type LoaderConfig,
  parseRequest,
  type RequestLimits,
  rejectUpgrade,
  type SessionRegistry,
  type Speech,
  type StreamFeed,
  toHumancastError,
  traceparentOf,
} from '@humancast/shared';
import { type WebSocket, WebSocketServer } from 'ws';
import { LivePush, type LivePushParts, type PushTarget } from './live-push.js';
import { LiveSession } from './live-session.js';
import { LiveSocket } from './live-socket.js';

const PATH = '/v1/live';
/** Size of the largest frame that a header can describe: 3840×2160 in RGBA. */
const LARGEST_MESSAGE_BYTES = LIVE_HEADER_BYTES + 3840 * 2160 * 4;

export interface LiveServerParts {
  readonly config: Pick<LoaderConfig, 'livePushLimit' | 'livePushesPerKey' | 'liveMessagesPerSecond'>;
  readonly keys: ApiKeys;
  readonly avatars: AvatarStore;
  readonly registry: SessionRegistry;
  readonly speech: Speech;
  readonly events: StreamFeed;
  readonly push: LivePushParts;
  readonly requestLimits: RequestLimits;
}

/** Admits producers to `WS /v1/live` and runs their pushes. */
export class LiveServer {
  readonly #parts: LiveServerParts;
  readonly #wss = new WebSocketServer({
    noServer: true,
    maxPayload: LARGEST_MESSAGE_BYTES,
    perMessageDeflate: false,
    clientTracking: false,
  });
  readonly #pushes = new Set<LivePush>();
  readonly #perKey: ConcurrencyLimiter;
  #expected = 0;
  #closed = false;

  constructor(parts: LiveServerParts) {
    this.#parts = parts;
    this.#perKey = new ConcurrencyLimiter({
      setting: 'LIVE_PUSHES_PER_KEY',
      what: 'live pushes',
      limit: parts.config.livePushesPerKey,
    });
  }

  get pushCount(): number {
    return this.#pushes.size;
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
  }

  /** Ends an avatar's pushes, or the one that makes a segment, and removes what arrived. */
  async discard({ avatar, segment }: { avatar: string; segment?: string }, reason: HumancastError): Promise<void> {
    const pushes = [...this.#pushes].filter(
      (push) => push.avatar === avatar && (segment === undefined || push.segment === segment),
    );
    await Promise.all(pushes.map((push) => push.discard(reason)));
  }

  /** Ends all pushes with what has arrived, and rejects new ones. */
  async close(): Promise<void> {
    this.#closed = true;
    const restarting = new HumancastError('unavailable', {
      detail: 'the service is restarting; push again',
      retryAfterSeconds: 1,
    });
    for (const push of this.#pushes) push.fail(restarting);
    await Promise.all([...this.#pushes].map((push) => push.finished));
    this.#wss.close();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // Until ws takes over, an error of the connection must not crash the process.
    socket.on('error', () => socket.destroy());
    this.#expected++;
    try {
      const { key, avatar, session } = await this.#admit(request);
      const release = this.#perKey.acquire(key.name);
      let accepted = false;
      // The callback runs synchronously, or never if the handshake is invalid.
      this.#wss.handleUpgrade(request, socket, head, (ws) => {
        accepted = true;
        void this.#accept(ws, { avatar, session, owner: key.name }, request).then(release);
      });
      if (!accepted) release();
    } catch (error) {
      rejectUpgrade(socket, toHumancastError(error));
    } finally {
      this.#expected--;
    }
  }

  async #admit(request: IncomingMessage): Promise<{ key: ApiKey; avatar: Avatar; session: LiveSession | undefined }> {
    const { avatars, config, requestLimits } = this.#parts;
    requestLimits.require(request);
    const url = new URL(request.url ?? '/', 'ws://localhost');
    if (url.pathname !== PATH) throw new HumancastError('not_found');
    const key = this.#parts.keys.find(bearerOf(request.headers.authorization) ?? '');
    if (key === undefined) {
      throw new HumancastError('unauthorized', 'this needs "Authorization: Bearer <API key>"');
    }
    if (this.#closed)
      throw new HumancastError('unavailable', { detail: 'the service is stopping', retryAfterSeconds: 1 });
    if (this.#pushes.size + this.#expected > config.livePushLimit) {
      throw new HumancastError('too_many_pushes', {
        detail: `${config.livePushLimit} live pushes are already connected`,
        retryAfterSeconds: 2,
      });
    }
    const session = url.searchParams.get('session');
    const turn = parseRequest(turnQuerySchema, url.searchParams.get('turn') ?? undefined);
    if (session === null) key.require('media');
    else key.require('media', 'speak');
    const id = url.searchParams.get('avatar') ?? '';
    key.requireAvatar(id);
    const avatar = await avatars.get(id);
    if (!avatar) throw new HumancastError('avatar_not_found', `there is no avatar "${id.slice(0, 64)}"`);
    if (session === null) return { key, avatar, session: undefined };
    const found = await LiveSession.find({ id: session, avatar: avatar.id, turn }, key, this.#parts);
    // The avatar may have been deleted meanwhile; nothing is awaited from here to the accepted push.
    if (!(await avatars.get(id))) throw new HumancastError('avatar_not_found', `the avatar "${avatar.id}" was deleted`);
    return { key, avatar, session: found };
  }

  /** @returns A promise that resolves when the push has finished. */
  async #accept(ws: WebSocket, target: Omit<PushTarget, 'traceparent'>, { headers }: IncomingMessage): Promise<void> {
    const socket = new LiveSocket(ws, this.#parts.config.liveMessagesPerSecond, {
      onMessage: (data, isBinary) => push.receive(data, isBinary),
      onRejected: (error) => push.fail(error),
      onClosed: () => push.gone(),
    });
    const push = new LivePush(
      { ...target, traceparent: traceparentOf(headers['traceparent']) },
      socket,
      this.#parts.push,
    );
    this.#pushes.add(push);
    await push.finished;
    this.#pushes.delete(push);
  }
}
