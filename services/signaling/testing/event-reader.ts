import { waitFor } from '@humancast/testkit';
import { API_KEY, type TestSignaling } from './start-test-signaling.js';

export interface ReadEvent {
  id: string;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever came
  data: any;
}

/** A reader of server-sent events. */
export class EventReader {
  readonly events: ReadEvent[] = [];
  /** Everything that came, as it came. */
  text = '';
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

  got(event: string): Promise<ReadEvent> {
    return waitFor(`the event ${event}`, () => this.events.find((item) => item.event === event));
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const chunk of response.body ?? []) {
      const text = decoder.decode(chunk, { stream: true });
      this.text += text;
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() ?? '';
      this.events.push(...blocks.flatMap(parse));
    }
    this.ended = true;
  }
}

function parse(block: string): ReadEvent[] {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
  const data = field('data');
  return data === undefined ? [] : [{ id: field('id') ?? '', event: field('event') ?? '', data: JSON.parse(data) }];
}
