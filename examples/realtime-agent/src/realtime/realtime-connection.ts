import type { Logger } from '@humancast/shared';
import { WebSocket } from 'ws';
import { type ClientEvent, type ServerEvent, serverEventSchema } from './messages.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** Audio deltas are large. */
const MESSAGE_LIMIT_BYTES = 4 * 1024 * 1024;
/** Unsent bytes above which the microphone's audio is dropped: 10 s. */
const BUFFER_LIMIT_BYTES = 640_000;

export interface RealtimeOptions {
  readonly url: string;
  /** Never logged. */
  readonly key: string;
  readonly logger: Logger;
  readonly onEvent: (event: ServerEvent) => void;
  /** Called when the API ends the connection. */
  readonly onClosed: (reason: string) => void;
}

/** A conversation over the Realtime API's WebSocket. */
export class RealtimeConnection {
  readonly #socket: WebSocket;
  readonly #options: RealtimeOptions;
  #isClosed = false;

  private constructor(options: RealtimeOptions) {
    this.#options = options;
    this.#socket = new WebSocket(options.url, {
      headers: { authorization: `Bearer ${options.key}` },
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      maxPayload: MESSAGE_LIMIT_BYTES,
    });
    this.#socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) this.#read(data.toString());
    });
  }

  /** @throws Error if the API cannot be reached or rejects the key. */
  static async open(options: RealtimeOptions): Promise<RealtimeConnection> {
    const connection = new RealtimeConnection(options);
    const socket = connection.#socket;
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', (error) => reject(new Error(`the Realtime API cannot be reached: ${error.message}`)));
    });
    let reason = 'the Realtime API closed the connection';
    socket.on('error', (error) => {
      reason = `the connection to the Realtime API failed: ${error.message}`;
    });
    socket.once('close', (_, why) => {
      if (!connection.#isClosed) options.onClosed(why.length > 0 ? `${reason}: ${why.toString()}` : reason);
    });
    return connection;
  }

  send(event: ClientEvent): void {
    const isLate = event.type === 'input_audio_buffer.append' && this.#socket.bufferedAmount > BUFFER_LIMIT_BYTES;
    if (this.#socket.readyState !== WebSocket.OPEN || isLate) return;
    this.#socket.send(JSON.stringify(event));
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.terminate();
  }

  #read(text: string): void {
    const { logger, onEvent } = this.#options;
    try {
      const event = serverEventSchema.safeParse(JSON.parse(text));
      // The API sends many more events, and gets new ones.
      if (event.success) onEvent(event.data);
    } catch (error) {
      logger.warn({ err: error }, 'failed to read an event of the Realtime API');
    }
  }
}
