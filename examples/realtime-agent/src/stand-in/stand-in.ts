import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { speak } from '@humancast/demo-face';
import { type WebSocket, WebSocketServer } from 'ws';
import { clientEventSchema } from '../realtime/messages.js';
import { Conversation } from './conversation.js';

const MESSAGE_LIMIT_BYTES = 1024 * 1024;
const MOST_CONVERSATIONS = 4;
/** Unsent bytes at which a client that does not read is disconnected. */
const BUFFER_LIMIT_BYTES = 64 * 1024 * 1024;

/** Speaks the Realtime API's WebSocket protocol on loopback, with espeak-ng's voice in place of a model. */
export class StandIn {
  readonly #http: Server;
  readonly #conversations = new Set<Conversation>();

  private constructor(http: Server) {
    this.#http = http;
  }

  /** @param key What clients must present, as `Authorization: Bearer …`. */
  static async start({ key, port = 0 }: { key: string; port?: number }): Promise<StandIn> {
    const http = createServer((_, response) => response.writeHead(426).end());
    const standIn = new StandIn(http);
    const wss = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_LIMIT_BYTES, perMessageDeflate: false });
    http.on('upgrade', (request, socket, head) => {
      const isKnown = request.headers.authorization === `Bearer ${key}`;
      if (!isKnown || standIn.#conversations.size >= MOST_CONVERSATIONS) {
        socket.end(`HTTP/1.1 ${isKnown ? '429 Too Many Requests' : '401 Unauthorized'}\r\nconnection: close\r\n\r\n`);
        return;
      }
      wss.handleUpgrade(request, socket, head, (ws) => standIn.#accept(ws));
    });
    http.listen(port, '127.0.0.1');
    await once(http, 'listening');
    return standIn;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/v1/realtime?model=stand-in`;
  }

  /** The history of each open conversation. */
  get histories(): Conversation['history']['items'][] {
    return [...this.#conversations].map(({ history }) => history.items);
  }

  close(): void {
    for (const conversation of this.#conversations) conversation.close();
    this.#http.close();
    this.#http.closeAllConnections();
  }

  #accept(ws: WebSocket): void {
    const conversation = new Conversation({
      speak,
      send: (event) => {
        if (ws.readyState !== ws.OPEN) return;
        if (ws.bufferedAmount > BUFFER_LIMIT_BYTES) ws.terminate();
        else ws.send(JSON.stringify(event));
      },
    });
    this.#conversations.add(conversation);
    ws.on('message', (data: Buffer) => {
      const event = clientEventSchema.safeParse(parsed(data));
      if (event.success) conversation.handle(event.data);
      else conversation.fail('invalid_value', 'this event is unknown to the stand-in, or not valid');
    });
    ws.on('error', () => {});
    ws.once('close', () => {
      conversation.close();
      this.#conversations.delete(conversation);
    });
  }
}

function parsed(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined;
  }
}
