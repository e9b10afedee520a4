import type { IncomingMessage } from 'node:http';
import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { Inject, UseFilters, UseGuards } from '@nestjs/common';
import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { Limits } from '../limits/limits.js';
import { SignalingMetrics } from '../metrics.js';
import { TIMINGS_TOKEN, type Timings } from '../timings.js';
import { closeLast } from './close-last.js';
import { Connections } from './connections.js';
import { JoinedGuard, JoinedViewer, NotJoinedGuard } from './joined.guard.js';
import { UNKNOWN_MESSAGE } from './signal.adapter.js';
import { SignalErrorFilter } from './signal-error.filter.js';
import type { SignalSocket } from './signal-socket.js';
import type { ViewerConnection } from './viewer-connection.js';
import { ViewerMessagePipe } from './viewer-message.pipe.js';

type Message<T extends ViewerMessage['type']> = Extract<ViewerMessage, { type: T }>;

/** Close code 1012, "service restart" (IANA, for RFC 6455): the client reconnects, to another process. */
const SERVICE_RESTART = 1012;
const GOODBYE_MS = 500;
const GOODBYE_LOOK_MS = 10;

interface Connection {
  /** The viewer's network, for the limits. */
  readonly network: string;
  readonly joinTimer: NodeJS.Timeout;
}

/**
 * `WS /v1/signal`. The adapter decides who may connect, and guards decide what a viewer may send before and after its
 * `join`.
 */
@WebSocketGateway({ path: '/v1/signal' })
@UseFilters(SignalErrorFilter)
export class SignalGateway implements OnGatewayConnection<SignalSocket>, OnGatewayDisconnect<SignalSocket> {
  readonly #open = new Map<SignalSocket, Connection>();

  constructor(
    @Inject(Connections) private readonly connections: Connections,
    @Inject(Limits) private readonly limits: Limits,
    @Inject(SignalingMetrics) private readonly metrics: SignalingMetrics,
    @Inject(TIMINGS_TOKEN) private readonly timings: Timings,
  ) {}

  handleConnection(socket: SignalSocket, request: IncomingMessage): void {
    closeLast(request.socket);
    const joinTimer = setTimeout(() => socket.fail('idle_timeout', 'nothing was joined in time'), this.timings.joinMs);
    this.#open.set(socket, { network: this.limits.counted(request).network, joinTimer });
    this.metrics.connections.set(this.#open.size);
  }

  handleDisconnect(socket: SignalSocket): void {
    clearTimeout(this.#open.get(socket)?.joinTimer);
    this.#open.delete(socket);
    this.metrics.connections.set(this.#open.size);
    if (socket.viewer) this.connections.lost(socket.viewer);
  }

  @SubscribeMessage('join')
  @UseGuards(NotJoinedGuard)
  async join(
    @ConnectedSocket() socket: SignalSocket,
    @MessageBody(ViewerMessagePipe) message: Message<'join'>,
  ): Promise<void> {
    const connection = this.#open.get(socket);
    if (!connection) return;
    clearTimeout(connection.joinTimer);
    socket.viewer = await this.connections.join(message, socket, connection.network);
  }

  @SubscribeMessage('answer')
  @UseGuards(JoinedGuard)
  answer(
    @JoinedViewer() viewer: ViewerConnection,
    @MessageBody(ViewerMessagePipe) message: Message<'answer'>,
  ): Promise<void> {
    return viewer.answer(message);
  }

  /** Hosts are ICE-lite agents: they learn a viewer's addresses from its checks (RFC 8445 §2.5). */
  @SubscribeMessage('candidate')
  @UseGuards(JoinedGuard)
  candidate(@MessageBody(ViewerMessagePipe) _message: Message<'candidate'>): void {}

  @SubscribeMessage('report')
  @UseGuards(JoinedGuard)
  report(
    @JoinedViewer() viewer: ViewerConnection,
    @MessageBody(ViewerMessagePipe) message: Message<'report'>,
  ): Promise<void> {
    return viewer.report(message);
  }

  @SubscribeMessage('reconnect')
  @UseGuards(JoinedGuard)
  reconnect(
    @JoinedViewer() viewer: ViewerConnection,
    @MessageBody(ViewerMessagePipe) _message: Message<'reconnect'>,
  ): Promise<void> {
    return viewer.reconnect();
  }

  @SubscribeMessage('interrupt')
  @UseGuards(JoinedGuard)
  interrupt(@JoinedViewer() viewer: ViewerConnection): Promise<void> {
    return viewer.interrupt();
  }

  @SubscribeMessage('message')
  @UseGuards(JoinedGuard)
  message(
    @JoinedViewer() viewer: ViewerConnection,
    @MessageBody(ViewerMessagePipe) message: Message<'message'>,
  ): Promise<void> {
    return viewer.forward(message);
  }

  @SubscribeMessage('leave')
  @UseGuards(JoinedGuard)
  leave(@JoinedViewer() viewer: ViewerConnection): Promise<void> {
    return this.connections.leave(viewer);
  }

  @SubscribeMessage('ping')
  @UseGuards(JoinedGuard)
  ping(): SignalMessage {
    return { type: 'pong' };
  }

  /** Rejected by the pipe, which describes the problem. */
  @SubscribeMessage(UNKNOWN_MESSAGE)
  unknown(@MessageBody(ViewerMessagePipe) { type }: ViewerMessage): never {
    throw new HumancastError('bad_message', `messages of type ${type} are not handled`);
  }

  /** Closes every connection, so that viewers reconnect to another process. */
  async close(): Promise<void> {
    this.connections.close();
    for (const socket of this.#open.keys()) socket.close(SERVICE_RESTART, 'restarting');
    const deadline = performance.now() + GOODBYE_MS;
    while (this.#open.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, GOODBYE_LOOK_MS));
    }
    for (const socket of this.#open.keys()) socket.terminate();
  }
}
