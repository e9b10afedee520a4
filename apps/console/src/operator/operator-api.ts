import type {
  AvatarOverviewList,
  Sender,
  SessionDetails,
  SessionEvent,
  SessionSegment,
  SessionSummary,
} from '@humancast/protocol';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { ApiError, ask, urlOf } from '../api.js';

/** Requests of an operator to signaling, with an API key. Every method throws only {@link ApiError}. */
export class OperatorApi {
  readonly #key: string;

  constructor(key: string) {
    this.#key = key;
  }

  async senders(): Promise<Sender[]> {
    return (await this.#ask<{ senders: Sender[] }>('GET', '/v1/senders')).senders;
  }

  avatars(): Promise<AvatarOverviewList> {
    return this.#ask('GET', '/v1/avatars');
  }

  async sessions(): Promise<SessionSummary[]> {
    return (await this.#ask<{ sessions: SessionSummary[] }>('GET', '/v1/sessions')).sessions;
  }

  session(id: string): Promise<SessionDetails> {
    return this.#ask('GET', `/v1/sessions/${encodeURIComponent(id)}`);
  }

  async segments(id: string): Promise<SessionSegment[]> {
    const path = `/v1/sessions/${encodeURIComponent(id)}/segments`;
    return (await this.#ask<{ segments: SessionSegment[] }>('GET', path)).segments;
  }

  speak(id: string, segment: string): Promise<unknown> {
    return this.#ask('POST', `/v1/sessions/${encodeURIComponent(id)}/speak`, { segments: [segment] });
  }

  interrupt(id: string): Promise<unknown> {
    return this.#ask('POST', `/v1/sessions/${encodeURIComponent(id)}/interrupt`);
  }

  end(id: string): Promise<unknown> {
    return this.#ask('DELETE', `/v1/sessions/${encodeURIComponent(id)}`);
  }

  drain(sender: string): Promise<unknown> {
    return this.#ask('POST', `/v1/senders/${encodeURIComponent(sender)}/drain`);
  }

  /**
   * Reads a session's events from its start until the stream ends. Uses fetch(), because EventSource cannot send the key.
   */
  async follow(id: string, onEvent: (event: SessionEvent) => void, signal: AbortSignal): Promise<void> {
    const response = await fetch(urlOf(`/v1/sessions/${encodeURIComponent(id)}/events?from=start`), {
      headers: { authorization: `Bearer ${this.#key}` },
      signal,
    });
    if (!response.ok || !response.body) throw new ApiError('unreachable', 'The event stream cannot be opened.');
    const messages = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
    const reader = messages.getReader();
    for (let message = await reader.read(); !message.done; message = await reader.read()) {
      const event = eventOf(message.value.data);
      if (event) onEvent(event);
    }
  }

  #ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    return ask(method, path, { token: this.#key, ...(body !== undefined && { body }) });
  }
}

/** @returns the event, or `undefined` if it is unreadable; the stream goes on. */
function eventOf(data: string): SessionEvent | undefined {
  try {
    return JSON.parse(data) as SessionEvent;
  } catch {
    return undefined;
  }
}
