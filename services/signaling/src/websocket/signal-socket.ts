import {
  closeCodeOf,
  type ErrorCode,
  type SignalMessage,
  type ViewerMessage,
  viewerMessageSchema,
} from '@humancast/protocol';
import { describeIssues, HumancastError, type Logger, TokenBucket } from '@humancast/shared';
import { asHumancastError } from '@humancast/shared/nest';
import type { RawData, WebSocket } from 'ws';

/** Bytes that may wait for a viewer that does not read; beyond, it is cut off. */
const BUFFER_LIMIT_BYTES = 1_048_576;
/** Seconds over which the message rate is averaged. */
const RATE_WINDOW_SECONDS = 10;
/** After a close that the other side does not answer. */
const CLOSE_TIMEOUT_MS = 1000;

export interface SocketOptions {
  heartbeatMs: number;
  messagesPerSecond: number;
}

export interface SocketHandlers {
  /** One at a time, in order. */
  onMessage(message: ViewerMessage): Promise<void> | void;
  /** A message was not valid, or could not be acted on. */
  onRefused(error: HumancastError): void;
  /** Exactly once. */
  onClosed(): void;
  /** An error was told to the viewer. */
  onError(code: ErrorCode): void;
}

/** A WebSocket that speaks the signalling protocol: checks what comes in, bounds what goes out, and knows when it is dead. */
export class SignalSocket {
  readonly #ws: WebSocket;
  readonly #handlers: SocketHandlers;
  #logger: Logger;
  readonly #messages: TokenBucket;
  readonly #heartbeat: NodeJS.Timeout;
  #silentPings = 0;
  #closing = false;
  #handled: Promise<void> = Promise.resolve();

  constructor(ws: WebSocket, options: SocketOptions, logger: Logger, handlers: SocketHandlers) {
    this.#ws = ws;
    this.#handlers = handlers;
    this.#logger = logger;
    const { messagesPerSecond, heartbeatMs } = options;
    this.#messages = new TokenBucket(messagesPerSecond * RATE_WINDOW_SECONDS, messagesPerSecond);
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    ws.on('message', (data, isBinary) => this.#receive(data, isBinary));
    ws.on('pong', () => {
      this.#silentPings = 0;
    });
    // A frame that breaks RFC 6455, or is too large: ws closes with 1002, 1007 or 1009 by itself.
    ws.on('error', (error) => this.#logger.debug({ err: error.message }, 'websocket error'));
    ws.once('close', () => {
      this.#closing = true;
      clearInterval(this.#heartbeat);
      handlers.onClosed();
    });
  }

  /** Whose it is, for log lines. */
  isOf(session: string, viewer: string): void {
    this.#logger = this.#logger.child({ session, viewer });
  }

  get isOpen(): boolean {
    return !this.#closing;
  }

  send(message: SignalMessage): void {
    if (this.#closing) return;
    this.#ws.send(JSON.stringify(message));
    if (this.#ws.bufferedAmount > BUFFER_LIMIT_BYTES) this.terminate();
  }

  /** Tells what is wrong; the connection goes on. */
  warn(code: ErrorCode, message = new HumancastError(code).message): void {
    this.#handlers.onError(code);
    this.send({ type: 'error', code, message });
  }

  /** Tells what is wrong, and closes with the code of the same meaning. */
  fail(code: ErrorCode, message?: string): void {
    if (this.#closing) return;
    this.warn(code, message);
    this.close(closeCodeOf(code), code);
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.close(code, reason);
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }

  terminate(): void {
    this.#closing = true;
    this.#ws.terminate();
  }

  #beat(): void {
    // The second ping in a row that was not answered: gone.
    if (this.#silentPings >= 2) this.terminate();
    this.#silentPings += 1;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#closing) return;
    this.#silentPings = 0;
    if (!this.#messages.take()) {
      this.fail('rate_limited', 'too many messages');
      return;
    }
    let message: ViewerMessage;
    try {
      message = parse(data, isBinary);
    } catch (error) {
      this.#handlers.onRefused(error as HumancastError);
      return;
    }
    // One after another: candidates must not overtake the answer they belong to. The rate limit bounds how many wait.
    this.#handled = this.#handled.then(() => this.#handle(message));
  }

  async #handle(message: ViewerMessage): Promise<void> {
    if (this.#closing) return;
    try {
      await this.#handlers.onMessage(message);
    } catch (thrown) {
      const error = asHumancastError(thrown);
      const session = message.type === 'join' ? { session: message.session } : {};
      if (error.status >= 500) {
        this.#logger.error({ err: thrown, type: message.type, ...session }, 'signalling message failed');
      }
      this.#handlers.onRefused(error);
    }
  }
}

function parse(data: RawData, isBinary: boolean): ViewerMessage {
  if (isBinary) throw new HumancastError('bad_message', 'messages must be text');
  let json: unknown;
  try {
    json = JSON.parse(data.toString());
  } catch (cause) {
    throw new HumancastError('bad_message', { detail: 'the message is not JSON', cause });
  }
  const parsed = viewerMessageSchema.safeParse(json);
  if (!parsed.success) throw new HumancastError('bad_message', describeIssues(parsed.error));
  return parsed.data;
}
