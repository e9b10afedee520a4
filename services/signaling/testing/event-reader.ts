import { waitFor } from '@humancast/testkit';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { API_KEY, type TestSignaling } from './start-test-signaling.js';

export interface ReadEvent {
  id: string;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read arbitrary members
  data: any;
}

/** A reader of server-sent events. */
export class EventReader {
  readonly events: ReadEvent[] = [];
  /** Received comments, which are heartbeats. */
  comments = 0;
  /** Reconnection delay that the server requests, ms. */
  retryMs: number | undefined;
  ended = false;
  readonly status: number;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.status = response.status;
    this.#abort = abort;
    void this.#read(response).catch(() => {
      this.ended = true;
    });
  }

  static async open(
    signaling: TestSignaling,
    session: string,
    options: { query?: string; headers?: Record<string, string>; auth?: string } = {},
  ): Promise<EventReader> {
    const { query = '', headers = {}, auth = API_KEY } = options;
    const abort = new AbortController();
    const response = await fetch(`${signaling.url}/v1/sessions/${session}/events${query}`, {
      headers: { ...(auth !== '' && { authorization: `Bearer ${auth}` }), ...headers },
      signal: abort.signal,
    });
    return new EventReader(response, abort);
  }

  received(event: string): Promise<ReadEvent> {
    return waitFor(`the event ${event}`, () => this.events.find((item) => item.event === event));
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    const parser = new EventSourceParserStream({
      onComment: () => void this.comments++,
      onRetry: (waitMs) => {
        this.retryMs = waitMs;
      },
    });
    for await (const message of response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(parser) ?? []) {
      const { id = '', event = '', data } = message;
      this.events.push({ id, event, data: JSON.parse(data) });
    }
    this.ended = true;
  }
}
