import { closeCodeOf, type LiveLoaderMessage } from '@humancast/protocol';
import { HumancastError, TokenBucket } from '@humancast/shared';
import type { RawData, WebSocket } from 'ws';
import type { ProducerPort } from './live-push.js';

/** Bytes buffered for a producer that does not read; above, its connection is cut. */
const BUFFER_LIMIT_BYTES = 1_048_576;
/** Seconds over which the message rate is averaged. */
const RATE_WINDOW_SECONDS = 10;
const CLOSE_TIMEOUT_MS = 2000;
const PING_MS = 20_000;
/** Pings without a sign of the producer after which its connection is lost. */
const SILENT_PINGS = 3;
const NORMAL_CLOSURE = 1000;

export interface LiveSocketHandlers {
  onMessage(data: Buffer, isBinary: boolean): void;
  onRejected(error: HumancastError): void;
  /** Called exactly once. */
  onClosed(): void;
}

/**
 * A producer's WebSocket, with a limited message rate and a limited send buffer. A connection whose producer answers no pings is
 * terminated; while it is paused, answers are not read, and not missed.
 */
export class LiveSocket implements ProducerPort {
  readonly #ws: WebSocket;
  readonly #messages: TokenBucket;
  readonly #heartbeat: NodeJS.Timeout;
  #closing = false;
  #paused = false;
  #silentPings = 0;

  constructor(ws: WebSocket, messagesPerSecond: number, handlers: LiveSocketHandlers) {
    this.#ws = ws;
    this.#messages = new TokenBucket(messagesPerSecond * RATE_WINDOW_SECONDS, messagesPerSecond);
    ws.on('message', (data: RawData, isBinary) => {
      if (this.#closing) return;
      this.#silentPings = 0;
      if (this.#messages.take()) handlers.onMessage(data as Buffer, isBinary);
      else handlers.onRejected(new HumancastError('rate_limited', 'too many messages; send longer audio messages'));
    });
    // ws itself closes with 1002, 1007 or 1009 if a frame violates RFC 6455 or is too large.
    ws.on('error', () => {});
    ws.on('pong', () => {
      this.#silentPings = 0;
    });
    this.#heartbeat = setInterval(() => this.#beat(), PING_MS);
    ws.once('close', () => {
      this.#closing = true;
      clearInterval(this.#heartbeat);
      handlers.onClosed();
    });
  }

  send(message: LiveLoaderMessage): void {
    if (this.#closing) return;
    this.#ws.send(JSON.stringify(message));
    if (this.#ws.bufferedAmount > BUFFER_LIMIT_BYTES) this.#ws.terminate();
  }

  pause(): void {
    this.#paused = true;
    if (!this.#closing) this.#ws.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#silentPings = 0;
    if (!this.#closing) this.#ws.resume();
  }

  finish(): void {
    this.#close(NORMAL_CLOSURE, 'done');
  }

  fail(error: HumancastError): void {
    this.send({ type: 'error', code: error.code, message: error.message });
    this.#close(closeCodeOf(error.code), error.code);
  }

  #beat(): void {
    if (this.#closing || this.#paused) return;
    if (this.#silentPings >= SILENT_PINGS) {
      this.#ws.terminate();
      return;
    }
    this.#silentPings++;
    this.#ws.ping();
  }

  #close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.resume(); // the peer's close frame comes after everything it has sent
    this.#ws.close(code, reason);
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }
}
