import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ErrorCode, HumancastError, type Logger, toProblem, type ViewerMessage } from '@humancast/shared';
import { type WebSocket, WebSocketServer } from 'ws';
import { clientAddress } from '../http/client-address.js';
import type { Origins } from '../http/origins.js';
import type { AddressLimiter } from '../limits/address-limiter.js';
import type { SignalingMetrics } from '../metrics.js';
import { SignalSocket, type SocketOptions } from './signal-socket.js';
import type { ViewerDesk } from './viewer-desk.js';
import type { ViewerLink } from './viewer-link.js';

const PATH = '/v1/signal';
/** The service restarts (registered by the IANA for RFC 6455): come back, to another process. */
const SERVICE_RESTART = 1012;
const GOODBYE_MS = 500;
const GOODBYE_LOOK_MS = 10;

export interface SignalServerOptions extends SocketOptions {
  messageLimitBytes: number;
  trustProxy: boolean;
  joinMs: number;
}

/** `WS /v1/signal`: who may connect at all, and what comes first. */
export class SignalServer {
  readonly #desk: ViewerDesk;
  readonly #origins: Origins;
  readonly #limiter: AddressLimiter;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #options: SignalServerOptions;
  readonly #wss: WebSocketServer;
  readonly #sockets = new Set<SignalSocket>();
  #closed = false;

  constructor(
    parts: { desk: ViewerDesk; origins: Origins; limiter: AddressLimiter; metrics: SignalingMetrics; logger: Logger },
    options: SignalServerOptions,
  ) {
    this.#desk = parts.desk;
    this.#origins = parts.origins;
    this.#limiter = parts.limiter;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#options = options;
    this.#wss = new WebSocketServer({
      noServer: true,
      maxPayload: options.messageLimitBytes,
      perMessageDeflate: false,
      clientTracking: false,
    });
  }

  attach(server: Server): void {
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  /** Sends everyone to another process, and takes nobody new. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#desk.close();
    for (const socket of this.#sockets) socket.close(SERVICE_RESTART, 'restarting');
    const deadline = performance.now() + GOODBYE_MS;
    while (this.#sockets.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, GOODBYE_LOOK_MS));
    }
    for (const socket of this.#sockets) socket.terminate();
    this.#wss.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Until ws takes over, a connection that breaks must not bring the process down.
    socket.on('error', () => socket.destroy());
    const refusal = this.#refusal(request);
    if (refusal) this.#refuse(socket, refusal);
    else this.#wss.handleUpgrade(request, socket, head, (ws) => this.#accept(ws));
  }

  #refusal(request: IncomingMessage): HumancastError | undefined {
    const path = request.url?.split('?')[0];
    if (path !== PATH) return new HumancastError('not_found');
    if (this.#closed) return new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    if (!this.#origins.allows(request)) return new HumancastError('forbidden', 'this origin is not allowed');
    if (!this.#limiter.take(clientAddress(request, this.#options.trustProxy))) {
      return new HumancastError('rate_limited', {
        detail: 'too many connections from this address',
        retryAfterSeconds: 60,
      });
    }
    return undefined;
  }

  #refuse(socket: Duplex, error: HumancastError): void {
    this.#metrics.errors.inc({ code: error.code });
    const body = JSON.stringify(toProblem(error));
    const head = [
      `HTTP/1.1 ${error.status} ${error.code}`,
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      ...(error.retryAfterSeconds === undefined ? [] : [`retry-after: ${error.retryAfterSeconds}`]),
      'connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
  }

  #accept(ws: WebSocket): void {
    let link: ViewerLink | undefined;
    const socket = new SignalSocket(ws, this.#options, this.#logger, {
      onMessage: async (message) => {
        if (link) await this.#handle(link, message);
        else link = await this.#join(socket, message, joinTimer);
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
    const joinTimer = setTimeout(() => socket.fail('idle_timeout', 'nothing was joined in time'), this.#options.joinMs);
    this.#sockets.add(socket);
    this.#metrics.connections.set(this.#sockets.size);
  }

  #join(socket: SignalSocket, message: ViewerMessage, timer: NodeJS.Timeout): Promise<ViewerLink> {
    clearTimeout(timer);
    if (message.type !== 'join') throw new HumancastError('join_required');
    return this.#desk.join(message, socket);
  }

  async #handle(link: ViewerLink, message: ViewerMessage): Promise<void> {
    if (message.type === 'join') throw new HumancastError('already_joined');
    if (message.type === 'leave') await this.#desk.leave(link);
    else await link.handle(message);
  }
}
