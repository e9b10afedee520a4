import type { ServerResponse } from 'node:http';
import type { SessionEvent } from '@humancast/shared';

/** Bytes that may wait for a reader that is slower than its events; beyond, it is cut off and comes back where it was. */
const BUFFER_LIMIT_BYTES = 256 * 1024;
const RECONNECT_MS = 2000;

/** Server-sent events (HTML standard, §9.2) on one response. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #heartbeat: NodeJS.Timeout;
  #closed = false;

  constructor(response: ServerResponse, { heartbeatMs, onClose }: { heartbeatMs: number; onClose: () => void }) {
    this.#response = response;
    response.on('close', () => {
      this.#closed = true;
      clearInterval(this.#heartbeat);
      onClose();
    });
    response.on('error', () => {});
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      // nginx holds responses back otherwise.
      'x-accel-buffering': 'no',
    });
    this.#write(`retry: ${RECONNECT_MS}\n\n`);
    this.#heartbeat = setInterval(() => this.#write(':\n\n'), heartbeatMs);
  }

  send(event: SessionEvent): void {
    this.#write(`id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  /** Ends after what was sent. */
  end(): void {
    if (!this.#closed) this.#response.end();
  }

  #write(text: string): void {
    if (this.#closed || this.#response.writableEnded) return;
    this.#response.write(text);
    if (this.#response.writableLength > BUFFER_LIMIT_BYTES) this.#response.destroy();
  }
}
