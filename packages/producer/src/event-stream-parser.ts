export interface ServerSentEvent {
  id: string | undefined;
  data: string;
}

/** Maximum length of a line, which exceeds any event; a stream without line ends is not an event stream. */
const LINE_LIMIT = 1_048_576;

/** Parses `text/event-stream` (HTML standard, §9.2.6), as far as a session's events need it. */
export class EventStreamParser {
  #rest = '';
  #data: string[] = [];
  #id: string | undefined;
  #retryMs: number | undefined;

  /** Delay before a reconnection that the server asks for, ms. */
  get retryMs(): number | undefined {
    return this.#retryMs;
  }

  /** @throws RangeError if a line is longer than any event. */
  push(text: string): ServerSentEvent[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_LIMIT) throw new RangeError('the event stream has a line without an end');
    return lines.flatMap((line) => this.#line(line) ?? []);
  }

  #line(line: string): ServerSentEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.#retryMs = Number(value);
    return undefined;
  }

  #dispatch(): ServerSentEvent | undefined {
    const data = this.#data.join('\n');
    this.#data = [];
    return data === '' ? undefined : { id: this.#id, data };
  }
}
