import { setTimeout as sleep } from 'node:timers/promises';
import { type SessionEvent, sessionEventSchema } from '@humancast/protocol';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { ProducerError } from './producer-error.js';
import type { RestClient } from './rest-client.js';

export interface EventsOptions {
  /** `now` (default): from now on. `start`: past events that are still stored come first. */
  from?: 'start' | 'now';
  /** Ends the iteration without an error. */
  signal?: AbortSignal | undefined;
  /** Called on the first connection and every reconnection. */
  onConnected?: () => void;
}

/**
 * The server writes at least one comment per interval, ms; after two intervals of silence, the connection counts as lost.
 */
const SILENCE_MS = 30_000;
/** Limit of an event's size, characters, so that an endless line cannot exhaust memory. */
const EVENT_LIMIT = 1_048_576;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 10_000;
/** Errors that a retry does not change. */
const isFinal = (status: number | undefined) =>
  status !== undefined && status < 500 && status !== 429 && status !== 408;

/**
 * Yields a session's events until it ends or the signal is aborted. A lost connection is re-established and continues after
 * the last received event, so no event is repeated, and none is missed unless `events.missed` says so: the server keeps 2000
 * events per session.
 * @throws ProducerError if the session does not exist or the key is rejected.
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

/**
 * Waits with jitter, so that the clients of a restarted server do not return at once; ends early if the signal is aborted.
 */
async function pause(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {});
}

interface ConnectionOptions {
  lastId: string | undefined;
  signal: AbortSignal | undefined;
  /** Receives the reconnection delay that the server requests, ms. */
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
      // An event type of a newer server.
      if (parsed.success) yield parsed.data;
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}
