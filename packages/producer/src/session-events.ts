import { setTimeout as sleep } from 'node:timers/promises';
import { type SessionEvent, sessionEventSchema } from '@humancast/protocol';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { ProducerError } from './producer-error.js';
import type { RestClient } from './rest-client.js';

export interface EventsOptions {
  /** `now` (default): from this moment. `start`: first the past events that are still stored. */
  from?: 'start' | 'now';
  /** Ends the iteration, without an error. */
  signal?: AbortSignal | undefined;
  /** Called on the first connection and every reconnection. */
  onConnected?: () => void;
}

/** The server writes at least a comment this often, ms; after twice that in silence the connection counts as lost. */
const SILENCE_MS = 30_000;
/** Longer than any event, in characters: a line without an end must not fill the memory. */
const EVENT_LIMIT = 1_048_576;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 10_000;
/** Errors that a retry does not change. */
const isFinal = (status: number | undefined) =>
  status !== undefined && status < 500 && status !== 429 && status !== 408;

/**
 * A session's events until it ends or the signal aborts. A lost connection is made again, and goes on after the last event
 * that was received, so that none comes twice, and none after it is missed unless `events.missed` says so: the server keeps
 * 2000 events of a session.
 * @throws ProducerError when the session does not exist or the key is refused.
 */
export async function* sessionEvents(
  rest: RestClient,
  session: string,
  { from = 'now', signal, onConnected }: EventsOptions,
): AsyncGenerator<SessionEvent, void, undefined> {
  const path = `/v1/sessions/${encodeURIComponent(session)}/events`;
  let lastId: string | undefined;
  let retryMs = FIRST_RETRY_MS;
  let failures = 0;
  const onRetry = (waitMs: number) => {
    retryMs = waitMs;
  };
  while (!signal?.aborted) {
    const query = from === 'start' && lastId === undefined ? '?from=start' : '';
    try {
      for await (const item of connection(rest, path + query, { lastId, signal, onRetry })) {
        failures = 0;
        if (item === 'connected') {
          onConnected?.();
          continue;
        }
        lastId = item.id;
        yield item;
        if (item.type === 'session.ended') return;
      }
    } catch (error) {
      if (!signal?.aborted && error instanceof ProducerError && isFinal(error.status)) throw error;
    }
    await pause(Math.min(LAST_RETRY_MS, retryMs * 2 ** Math.min(failures++, 10)), signal);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Waits with jitter, so that the producers of a lost server do not return at once; less if the signal is aborted. */
async function pause(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
}

interface ConnectionOptions {
  lastId: string | undefined;
  signal: AbortSignal | undefined;
  /** Receives how long the server wants clients to wait before they reconnect. */
  onRetry: (waitMs: number) => void;
}

/** Reads one connection until it ends. */
async function* connection(
  rest: RestClient,
  path: string,
  { lastId, signal, onRetry }: ConnectionOptions,
): AsyncGenerator<'connected' | SessionEvent> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), SILENCE_MS);
  const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
  try {
    const headers = { accept: 'text/event-stream', ...(lastId !== undefined && { 'last-event-id': lastId }) };
    const response = await rest.stream(path, { headers, signal: either });
    if (!response.body) return;
    yield 'connected';
    const onComment = () => void timer.refresh();
    const parser = new EventSourceParserStream({ onRetry, onComment, maxBufferSize: EVENT_LIMIT });
    for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser)) {
      timer.refresh();
      const parsed = sessionEventSchema.safeParse(jsonOf(data));
      // An event of a newer server.
      if (parsed.success) yield parsed.data;
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
