import { closeCodeOf, type LiveLoaderMessage } from '@humancast/protocol';
import { HumancastError, TokenBucket } from '@humancast/shared';
import type { RawData, WebSocket } from 'ws';
import type { ProducerPort } from './live-push.js';

/** Bytes that may wait for a producer that does not read; beyond, it is cut off. */
const BUFFER_LIMIT_BYTES = 1_048_576;
/** Seconds over which the message rate is averaged. */
const RATE_WINDOW_SECONDS = 10;
const CLOSE_TIMEOUT_MS = 2000;
const NORMAL_CLOSURE = 1000;

export interface LiveSocketHandlers {
  onMessage(data: Buffer, isBinary: boolean): void;
  onRefused(error: HumancastError): void;
  /** Exactly once. */
  onClosed(): void;
}

/** A producer's WebSocket: bounds how many messages come and how much waits to go. */
export class LiveSocket implements ProducerPort {
  readonly #ws: WebSocket;
  readonly #messages: TokenBucket;
  #closing = false;

  constructor(ws: WebSocket, messagesPerSecond: number, handlers: LiveSocketHandlers) {
    this.#ws = ws;
    this.#messages = new TokenBucket(messagesPerSecond * RATE_WINDOW_SECONDS, messagesPerSecond);
    ws.on('message', (data: RawData, isBinary) => {
      if (this.#closing) return;
      if (this.#messages.take()) handlers.onMessage(data as Buffer, isBinary);
      else handlers.onRefused(new HumancastError('rate_limited', 'too many messages; send larger pieces of sound'));
    });
    // A frame that breaks RFC 6455, or is too large: ws closes with 1002, 1007 or 1009 by itself.
    ws.on('error', () => {});
    ws.once('close', () => {
      this.#closing = true;
      handlers.onClosed();
    });
  }

  send(message: LiveLoaderMessage): void {
    if (this.#closing) return;
    this.#ws.send(JSON.stringify(message));
    if (this.#ws.bufferedAmount > BUFFER_LIMIT_BYTES) this.#ws.terminate();
  }

  pause(): void {
    if (!this.#closing) this.#ws.pause();
  }

  resume(): void {
    if (!this.#closing) this.#ws.resume();
  }

  finish(): void {
    this.#close(NORMAL_CLOSURE, 'done');
  }

  fail(error: HumancastError): void {
    this.send({ type: 'error', code: error.code, message: error.message });
    this.#close(closeCodeOf(error.code), error.code);
  }

  #close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.resume(); // the other side's answer comes behind what it has sent
    this.#ws.close(code, reason);
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }
}
