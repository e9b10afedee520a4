import type { ServerResponse } from 'node:http';
import { type SessionEvent } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';

/** Maximum bytes buffered for a slow reader; above it, the stream is closed, and the reader resumes from its last event. */
const BUFFER_LIMIT_BYTES = 256 * 1024;
const RECONNECT_MS = 2000;

export interface EventStreamOptions {
  heartbeatMs: number;
  /** Time that a reader has to read the rest when the stream ends; then the connection is closed. */
  lingerMs: number;
  /** Called if the stream is closed because its reader is too slow. */
  onSlow: () => void;
  /** Called exactly once. */
  onClose: () => void;
}

/** Writes server-sent events (HTML standard, §9.2) to one response. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #options: EventStreamOptions;
  readonly #heartbeat: NodeJS.Timeout;
  #linger: NodeJS.Timeout | undefined;

  /** @param response Its connection is still open. */
  constructor(response: ServerResponse, options: EventStreamOptions) {
    this.#response = response;
    this.#options = options;
    response.once('close', () => {
      clearInterval(this.#heartbeat);
      clearTimeout(this.#linger);
      options.onClose();
    });
    response.on('error', () => {});
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // Disables nginx's response buffering.
      'x-accel-buffering': 'no',
    });
    this.#heartbeat = setInterval(() => this.#write(':\n\n'), options.heartbeatMs);
    this.#write(`retry: ${RECONNECT_MS}\n\n`);
  }

  send(event: SessionEvent): void {
    this.#write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  /** Ends the stream after everything sent; a reader that does not read it in time is disconnected. */
  end(): void {
    if (this.#response.writableEnded) return;
    this.#response.end();
    clearInterval(this.#heartbeat);
    if (!this.#response.destroyed) this.#linger = setTimeout(() => this.#response.destroy(), this.#options.lingerMs);
  }

  #write(text: string): void {
    if (this.#response.destroyed || this.#response.writableEnded) return;
    this.#response.write(text);
    if (this.#response.writableLength <= BUFFER_LIMIT_BYTES) return;
    this.#options.onSlow();
    const { code, message } = new HumancastError('slow_reader');
    this.#response.write(`event: stream.closed\ndata: ${JSON.stringify({ code, message })}\n\n`);
    this.end();
  }
}
