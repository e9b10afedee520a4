import type { IncomingMessage } from 'node:http';
import { type ErrorCode, type ViewerMessage } from '@humancast/protocol';
import { HumancastError, type Logger, type SignalingConfig } from '@humancast/shared';
import { Inject } from '@nestjs/common';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import type { WebSocket } from 'ws';
import { Limits } from '../limits/limits.js';
import { SignalingMetrics } from '../metrics.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, TIMINGS_TOKEN } from '../tokens.js';
import { closeLast } from './close-last.js';
import { Connections } from './connections.js';
import { SignalSocket, type SocketOptions } from './signal-socket.js';
import type { ViewerConnection } from './viewer-connection.js';

/** The service restarts (registered by the IANA for RFC 6455): come back, to another process. */
const SERVICE_RESTART = 1012;
const GOODBYE_MS = 500;
const GOODBYE_LOOK_MS = 10;

/** `WS /v1/signal`: what comes first on a connection. Who may connect at all is the adapter's to say. */
@WebSocketGateway({ path: '/v1/signal' })
export class SignalGateway implements OnGatewayConnection<WebSocket> {
  readonly #desk: Connections;
  readonly #limits: Limits;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #socketOptions: SocketOptions;
  readonly #joinMs: number;
  readonly #sockets = new Set<SignalSocket>();

  constructor(
    @Inject(CONFIG) config: SignalingConfig,
    @Inject(TIMINGS_TOKEN) timings: Timings,
    @Inject(LOGGER) logger: Logger,
    @Inject(Connections) desk: Connections,
    @Inject(Limits) limits: Limits,
    @Inject(SignalingMetrics) metrics: SignalingMetrics,
  ) {
    this.#socketOptions = { heartbeatMs: config.heartbeatMs, messagesPerSecond: config.messagesPerSecond };
    this.#joinMs = timings.joinMs;
    this.#logger = logger;
    this.#desk = desk;
    this.#limits = limits;
    this.#metrics = metrics;
  }

  handleConnection(ws: WebSocket, request: IncomingMessage): void {
    closeLast(request.socket);
    const { network } = this.#limits.counted(request);
    let link: ViewerConnection | undefined;
    const socket = new SignalSocket(ws, this.#socketOptions, this.#logger, {
      onMessage: async (message) => {
        if (link) await this.#handle(link, message);
        else link = await this.#join(socket, message, network, joinTimer);
      },
      // Who has not joined has nothing to lose.
      onRefused: (error) => (link ? socket.warn(error.code, error.message) : socket.fail(error.code, error.message)),
      onClosed: () => {
        clearTimeout(joinTimer);
        this.#sockets.delete(socket);
        this.#metrics.connections.set(this.#sockets.size);
        if (link) this.#desk.lost(link);
      },
      onError: (code: ErrorCode) => this.#metrics.errors.inc({ code }),
    });
    const joinTimer = setTimeout(() => socket.fail('idle_timeout', 'nothing was joined in time'), this.#joinMs);
    this.#sockets.add(socket);
    this.#metrics.connections.set(this.#sockets.size);
  }

  /** Sends everyone to another process. */
  async close(): Promise<void> {
    this.#desk.close();
    for (const socket of this.#sockets) socket.close(SERVICE_RESTART, 'restarting');
    const deadline = performance.now() + GOODBYE_MS;
    while (this.#sockets.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, GOODBYE_LOOK_MS));
    }
    for (const socket of this.#sockets) socket.terminate();
  }

  #join(
    socket: SignalSocket,
    message: ViewerMessage,
    network: string,
    timer: NodeJS.Timeout,
  ): Promise<ViewerConnection> {
    clearTimeout(timer);
    if (message.type !== 'join') throw new HumancastError('join_required');
    return this.#desk.join(message, socket, network);
  }

  async #handle(link: ViewerConnection, message: ViewerMessage): Promise<void> {
    if (message.type === 'join') throw new HumancastError('already_joined');
    if (message.type === 'leave') await this.#desk.leave(link);
    else await link.handle(message);
  }
}
