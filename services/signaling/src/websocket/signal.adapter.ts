import type { IncomingMessage, Server } from 'node:http';
import type { SignalMessage } from '@humancast/protocol';
import { HumancastError, toHumancastError, toProblem } from '@humancast/shared';
import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import type { MessageMappingProperties } from '@nestjs/websockets';
import { lastValueFrom, type Observable } from 'rxjs';
import type { VerifyClientCallbackAsync, WebSocket, WebSocketServer } from 'ws';
import type { KnownHosts } from '../http/known-hosts.js';
import type { Origins } from '../http/origins.js';
import type { Limits } from '../limits/limits.js';
import type { ListenServer } from '../listen/listen-server.js';
import type { SignalingMetrics } from '../metrics.js';
import { SignalSocket, type SocketOptions } from './signal-socket.js';

/** The event under which a gateway subscribes to messages of a type that it does not know. */
export const UNKNOWN_MESSAGE = '*';

export interface SignalAdapterOptions extends Pick<SocketOptions, 'heartbeatMs' | 'messagesPerSecond' | 'logger'> {
  messageLimitBytes: number;
}

export interface SignalAdapterParts {
  hosts: KnownHosts;
  origins: Origins;
  limits: Limits;
  metrics: SignalingMetrics;
  /** Takes the upgrades of paths that a gateway, whose path is fixed, cannot have. */
  listen: ListenServer;
}

/**
 * Differs from Nest's adapter for `ws` in four points. Connections are rejected before the upgrade, by an HTTP answer with
 * a problem document. Gateways get a {@link SignalSocket} as their client. Its messages, `{type, …}`, are handled one at a
 * time: Nest's own dispatcher runs the handlers of one client concurrently and ignores messages without a subscriber.
 */
export class SignalAdapter extends WsAdapter {
  readonly #parts: SignalAdapterParts;
  readonly #options: SignalAdapterOptions;
  #closed = false;

  constructor(app: INestApplicationContext, parts: SignalAdapterParts, options: SignalAdapterOptions) {
    super(app);
    this.#parts = parts;
    this.#options = options;
  }

  override create(port: number, options: { path?: string }): unknown {
    const server: unknown = super.create(port, {
      ...options,
      maxPayload: this.#options.messageLimitBytes,
      perMessageDeflate: false,
      clientTracking: false,
      verifyClient: this.#verify,
    });
    this.#shareUpgrades(this.httpServer as Server);
    return server;
  }

  /** Nest destroys the connections of all paths that it does not know. */
  #shareUpgrades(http: Server): void {
    const { listen } = this.#parts;
    for (const ofNest of http.listeners('upgrade')) {
      http.off('upgrade', ofNest as () => void);
      http.on('upgrade', (request, socket, head) => {
        if (listen.takes(request)) void listen.upgrade(request, socket, head);
        else ofNest(request, socket, head);
      });
    }
  }

  override bindClientConnect(
    server: WebSocketServer,
    onConnection: (socket: SignalSocket, request: IncomingMessage) => void,
  ): void {
    const { heartbeatMs, messagesPerSecond, logger } = this.#options;
    const { errors } = this.#parts.metrics;
    const options: SocketOptions = { heartbeatMs, messagesPerSecond, logger, onError: (code) => errors.inc({ code }) };
    server.on('connection', (ws: WebSocket, request: IncomingMessage) =>
      onConnection(new SignalSocket(ws, options), request),
    );
  }

  override bindMessageHandlers(
    socket: SignalSocket,
    handlers: MessageMappingProperties[],
    transform: (answer: unknown) => Observable<unknown>,
  ): void {
    const handlerOf = new Map(handlers.map((handler) => [handler.message as string, handler]));
    socket.onMessage(async ({ type, body }) => {
      const handler = handlerOf.get(type) ?? handlerOf.get(UNKNOWN_MESSAGE);
      if (!handler) return;
      const answer = await lastValueFrom(transform(handler.callback(body, type)), { defaultValue: undefined });
      if (answer !== undefined) socket.send(answer as SignalMessage);
    });
  }

  override bindClientDisconnect(socket: SignalSocket, onDisconnected: () => void): void {
    socket.onceClosed(onDisconnected);
  }

  /** Rejects new connections from now on. */
  stopAccepting(): void {
    this.#closed = true;
  }

  readonly #verify: VerifyClientCallbackAsync = ({ req }, answer) => {
    try {
      this.#admit(req);
      answer(true);
    } catch (thrown) {
      const rejection = toHumancastError(thrown);
      this.#parts.metrics.countError(rejection);
      answer(false, rejection.status, JSON.stringify(toProblem(rejection)), {
        // Spelled as ws spells it, so that it replaces ws's default.
        'Content-Type': 'application/problem+json',
        ...(rejection.retryAfterSeconds !== undefined && { 'retry-after': String(rejection.retryAfterSeconds) }),
      });
    }
  };

  #admit(request: IncomingMessage): void {
    const { hosts, origins, limits } = this.#parts;
    if (this.#closed) throw new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    hosts.require(request);
    if (!origins.allows(request)) throw new HumancastError('forbidden', 'this origin is not allowed');
    limits.requireConnect(request);
    limits.requireSocket(request);
  }
}
