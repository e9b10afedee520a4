import { setTimeout as sleep } from 'node:timers/promises';
import type { SessionEvent } from '@humancast/protocol';
import type { Stack } from '@humancast/testkit';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import type { History } from '../history.ts';

const RETRY_MS = 300;
/** Silence after which a stream without heartbeats is replaced, ms. */
const SILENCE_MS = 20_000;

export interface EventReaderOptions {
  readonly stack: Pick<Stack, 'signalingUrls' | 'apiKey'>;
  readonly session: string;
  readonly history: History;
  readonly nowMs: () => number;
}

/** Reads a session's events from start to end across failures, resuming each time. */
export class EventReader {
  /** Queue positions that have finished. */
  readonly finished = new Set<number>();
  /** Whether `session.ended` was read. */
  ended = false;
  readonly #options: EventReaderOptions;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #lastId: string | undefined;
  #turn = 0;
  /** The server reports that the events do not exist. */
  #gone = false;

  constructor(options: EventReaderOptions) {
    this.#options = options;
    this.#done = this.#read();
  }

  /** Waits for the end of the session, and records whether it came. */
  async close(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#abort.abort(), timeoutMs);
    await this.#done;
    clearTimeout(timer);
    const { history, session, nowMs } = this.#options;
    history.add({ type: 'closed', session, atMs: nowMs(), complete: this.ended });
  }

  async #read(): Promise<void> {
    while (!this.ended && !this.#gone && !this.#abort.signal.aborted) {
      await this.#readOnce().catch(() => {});
      if (!this.ended && !this.#abort.signal.aborted) await sleep(RETRY_MS);
    }
  }

  async #readOnce(): Promise<void> {
    const { stack, session } = this.#options;
    const base = stack.signalingUrls[this.#turn++ % stack.signalingUrls.length];
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const response = await fetch(`${base}/v1/sessions/${session}/events?from=start`, {
        headers: {
          authorization: `Bearer ${stack.apiKey}`,
          ...(this.#lastId !== undefined && { 'last-event-id': this.#lastId }),
        },
        signal: AbortSignal.any([this.#abort.signal, silence.signal]),
      });
      this.#gone = response.status === 404 || response.status === 204;
      if (response.status !== 200 || !response.body) return void (await response.arrayBuffer());
      const parser = new EventSourceParserStream({ onComment: () => void timer.refresh() });
      for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser)) {
        timer.refresh();
        this.#receive(JSON.parse(data) as SessionEvent);
        if (this.ended) return;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #receive(event: SessionEvent): void {
    this.#lastId = event.id;
    const { history, session, nowMs } = this.#options;
    history.add({ type: 'event', session, receivedMs: nowMs(), event });
    if (event.type === 'speech.finished') this.finished.add(event.seq);
    if (event.type === 'session.ended') this.ended = true;
  }
}
