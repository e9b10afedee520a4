import { closeCodeOf, type ErrorCode, type SignalMessage } from '@humancast/protocol';
import { HumancastError, type Logger, TokenBucket, toHumancastError } from '@humancast/shared';
import type { RawData, WebSocket } from 'ws';
import type { ViewerConnection } from './viewer-connection.js';

/** Maximum bytes buffered for a viewer that does not read; above it, its connection is terminated. */
const BUFFER_LIMIT_BYTES = 1_048_576;
/** Seconds over which the message rate is averaged. */
const RATE_WINDOW_SECONDS = 10;
/** Time limit for the peer's answer to a close frame. */
const CLOSE_TIMEOUT_MS = 1000;

export interface SocketOptions {
  heartbeatMs: number;
  messagesPerSecond: number;
  logger: Logger;
  /** Called with the code of each error sent to the viewer. */
  onError(code: ErrorCode): void;
}

/** A message that has not been validated. `type` is empty if missing. */
export interface ReceivedMessage {
  readonly type: string;
  readonly body: unknown;
}

/**
 * A WebSocket of the signaling protocol. It limits the message rate, delivers messages one at a time, bounds the send
 * buffer, and terminates a connection that answers no pings.
 */
export class SignalSocket {
  /** The viewer that joined on this socket. */
  viewer: ViewerConnection | undefined;
  readonly #ws: WebSocket;
  readonly #onError: SocketOptions['onError'];
  readonly #messages: TokenBucket;
  readonly #heartbeat: NodeJS.Timeout;
  #logger: Logger;
  #silentPings = 0;
  #closing = false;
  #handled: Promise<void> = Promise.resolve();

  constructor(ws: WebSocket, { heartbeatMs, messagesPerSecond, logger, onError }: SocketOptions) {
    this.#ws = ws;
    this.#logger = logger;
    this.#onError = onError;
    this.#messages = new TokenBucket(messagesPerSecond * RATE_WINDOW_SECONDS, messagesPerSecond);
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs);
    ws.on('pong', () => {
      this.#silentPings = 0;
    });
    // ws itself closes with 1002, 1007 or 1009 if a frame violates RFC 6455 or is too large.
    ws.on('error', (error) => this.#logger.debug({ err: error.message }, 'WebSocket error'));
    ws.once('close', () => {
      this.#closing = true;
      clearInterval(this.#heartbeat);
    });
  }

  /** Adds the session and viewer to this socket's log lines. */
  isOf(session: string, viewer: string): void {
    this.#logger = this.#logger.child({ session, viewer });
  }

  get isOpen(): boolean {
    return !this.#closing;
  }

  /**
   * Registers the handler of messages. It is called for one message at a time, in order of arrival: an answer must not
   * overtake the join before it. The rate limit bounds how many wait.
   */
  onMessage(handle: (message: ReceivedMessage) => Promise<void> | void): void {
    this.#ws.on('message', (data, isBinary) => {
      if (this.#admit()) this.#handled = this.#handled.then(() => this.#handle(data, isBinary, handle));
    });
  }

  /** Calls the listener once, when the connection is closed. */
  onceClosed(listener: () => void): void {
    this.#ws.once('close', listener);
  }

  send(message: SignalMessage): void {
    if (this.#closing) return;
    this.#ws.send(JSON.stringify(message));
    if (this.#ws.bufferedAmount > BUFFER_LIMIT_BYTES) this.terminate();
  }

  /** Sends an error; the connection stays open. */
  warn(code: ErrorCode, message = new HumancastError(code).message): void {
    this.#onError(code);
    this.send({ type: 'error', code, message });
  }

  /** Sends an error and closes with the close code that has the same meaning. */
  fail(code: ErrorCode, message?: string): void {
    if (this.#closing) return;
    this.warn(code, message);
    this.close(closeCodeOf(code), code);
  }

  /**
   * Answers a message that failed: a joined viewer gets the error and stays, any other is disconnected.
   * @param about Fields for the log.
   */
  reject(thrown: unknown, about: { type?: string; session?: string } = {}): void {
    const error = toHumancastError(thrown);
    if (error.status >= 500) this.#logger.error({ err: thrown, ...about }, 'signaling message failed');
    if (this.viewer) this.warn(error.code, error.message);
    else this.fail(error.code, error.message);
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
    // Two pings in a row without an answer.
    if (this.#silentPings >= 2) this.terminate();
    this.#silentPings += 1;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  /** @returns Whether the received message is within the rate limit; if not, the connection is closed. */
  #admit(): boolean {
    if (this.#closing) return false;
    this.#silentPings = 0;
    if (this.#messages.take()) return true;
    this.fail('rate_limited', 'too many messages');
    return false;
  }

  async #handle(data: RawData, isBinary: boolean, handle: (message: ReceivedMessage) => Promise<void> | void) {
    if (this.#closing) return;
    try {
      await handle(parse(data, isBinary));
    } catch (error) {
      this.reject(error);
    }
  }
}

function parse(data: RawData, isBinary: boolean): ReceivedMessage {
  if (isBinary) throw new HumancastError('bad_message', 'messages must be text');
  let body: unknown;
  try {
    body = JSON.parse(data.toString());
  } catch (cause) {
    throw new HumancastError('bad_message', { detail: 'the message is not JSON', cause });
  }
  const { type } = (body ?? {}) as { type?: unknown };
  return { type: typeof type === 'string' ? type : '', body };
}
