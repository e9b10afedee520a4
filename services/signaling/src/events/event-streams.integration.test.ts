import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { SessionEvent } from '@humancast/protocol';
import { toHumancastError } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { Counter, Gauge } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { EventStreams, type EventStreamsOptions } from './event-streams.js';

const OPTIONS: EventStreamsOptions = {
  eventStreamLimit: 1000,
  eventStreamsPerSession: 1000,
  eventStreamsPerKey: 1000,
  eventStreamsPerAddress: 1000,
  heartbeatMs: 60_000,
  lingerMs: 60_000,
};

/** EventStreams behind a real HTTP server; the test releases the registry's answers and supplies events. */
class StreamServer {
  readonly gauge = new Gauge({ name: 'streams', help: 'streams', registers: [] });
  readonly errors = new Counter({ name: 'errors', help: 'errors', labelNames: ['code'], registers: [] });
  readonly streams: EventStreams;
  readonly followers = new Map<(event: SessionEvent) => void, string>();
  readonly http: Server;
  /** Number of requests that have reached the registry. */
  asked = 0;
  served = 0;
  /** The latest stream. */
  response: ServerResponse | undefined;
  #answer: (() => void)[] = [];
  #held = false;

  constructor(options: Partial<EventStreamsOptions> = {}) {
    const answered = () => (this.#held ? new Promise<void>((resolve) => this.#answer.push(resolve)) : turn());
    this.streams = new EventStreams(
      {
        registry: {
          get: async (id) => {
            this.asked++;
            await answered();
            return { id, state: 'hosted' } as never;
          },
          lastEventId: async () => {
            await turn();
            return '0-0';
          },
          eventPage: async (_, lastId) => ({ entries: [], lastId, more: false }),
        },
        feed: {
          follow: (session, _, onEvent) => {
            this.followers.set(onEvent, session);
            return () => this.followers.delete(onEvent);
          },
        },
        metrics: { eventStreams: this.gauge, errors: this.errors },
      },
      { ...OPTIONS, ...options },
    );
    this.http = createServer((request, response) => {
      this.response = response;
      const url = new URL(request.url ?? '', 'http://test');
      const reader = { network: url.searchParams.get('from') ?? 'here', key: url.searchParams.get('key') ?? undefined };
      const start = { lastEventId: undefined, fromStart: false, withMessages: true };
      void this.streams
        .serve(url.pathname, start, reader, response)
        .catch((thrown: unknown) => {
          const error = toHumancastError(thrown);
          const retry = { 'retry-after': String(error.retryAfterSeconds) };
          response.writeHead(error.status, retry).end(JSON.stringify({ code: error.code, ...error.extra }));
        })
        .then(() => this.served++);
    });
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    for (const answer of this.#answer.splice(0)) answer();
  }

  get port(): number {
    return (this.http.address() as { port: number }).port;
  }

  /** @returns A connection that has sent its request. */
  request(path: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, () => resolve(socket));
      });
      socket.on('error', reject);
    });
  }

  send(event: Partial<SessionEvent>): void {
    for (const follower of [...this.followers.keys()]) follower({ id: '1-0', ...event } as SessionEvent);
  }

  async open(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`);
  }

  async count(): Promise<number> {
    return (await this.gauge.get()).values[0]?.value ?? 0;
  }
}

describe('EventStreams', () => {
  const servers: StreamServer[] = [];
  async function start(options: Partial<EventStreamsOptions> = {}): Promise<StreamServer> {
    const server = new StreamServer(options);
    servers.push(server);
    await new Promise<void>((resolve) => server.http.listen(0, '127.0.0.1', resolve));
    return server;
  }
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.http.closeAllConnections();
      server.http.close();
    }
  });

  it('retains nothing of 500 readers that disconnect while their session is looked up', async () => {
    const server = await start({ eventStreamLimit: 500, eventStreamsPerAddress: 500, eventStreamsPerSession: 500 });
    server.hold();
    const sockets = await Promise.all(Array.from({ length: 500 }, () => server.request('/s')));
    await waitFor('all requests', () => server.asked === 500);
    for (const socket of sockets) socket.resetAndDestroy();
    await waitFor('their reservations to be released', async () => {
      const connections = await new Promise<number>((resolve) => server.http.getConnections((_, n) => resolve(n)));
      return connections === 0;
    });
    server.release();
    await waitFor('all to be served', () => server.served === 500);
    expect([await server.count(), server.followers.size]).toEqual([0, 0]);
    // All reservations are free again.
    const responses = await Promise.all(Array.from({ length: 500 }, () => server.open('/s')));
    expect(responses.every(({ status }) => status === 200)).toBe(true);
    expect([await server.count(), server.followers.size]).toEqual([500, 500]);
    const rejected = await server.open('/s');
    expect(rejected.status).toBe(503);
    expect(await rejected.json()).toEqual({ code: 'unavailable', limit: 'EVENT_STREAM_LIMIT' });
  });

  it.each([
    ['EVENT_STREAMS_PER_SESSION', { eventStreamsPerSession: 2 }, '/a?from=x', '/a?from=y', '/b?from=x'],
    ['EVENT_STREAMS_PER_ADDRESS', { eventStreamsPerAddress: 2 }, '/a?from=x', '/b?from=x', '/b?from=y'],
    ['EVENT_STREAMS_PER_KEY', { eventStreamsPerKey: 2 }, '/a?key=k', '/b?key=k', '/b?key=other'],
  ])(
    'limits streams by %s, and frees the reservation when the reader disconnects',
    async (limit, options, path, same, other) => {
      const server = await start(options);
      const gone = new AbortController();
      await server.open(path);
      await fetch(`http://127.0.0.1:${server.port}${path}`, { signal: gone.signal });
      const rejected = await server.open(same);
      expect(rejected.status).toBe(429);
      expect(rejected.headers.get('retry-after')).toBe('5');
      expect(await rejected.json()).toEqual({ code: 'too_many_connections', limit });
      expect((await server.open(other)).status).toBe(200);
      gone.abort();
      await waitFor('the reservation to be released', async () => (await server.count()) === 2);
      expect((await server.open(same)).status).toBe(200);
    },
  );

  it('closes the stream of a reader that does not read, and states the reason', async () => {
    const server = await start();
    const socket = await server.request('/s');
    await waitFor('the stream', () => server.followers.size === 1);
    socket.pause();
    const reason = 'x'.repeat(100_000);
    await waitFor('the reader to be cut off', () => {
      server.send({ type: 'viewer.disconnected', reason });
      return server.followers.size === 0;
    });
    let text = '';
    socket.on('data', (data) => {
      text = `${text}${data}`.slice(-1000);
    });
    socket.resume();
    await waitFor('the end', () => socket.readableEnded);
    expect(text).toContain('event: stream.closed\ndata: {"code":"slow_reader"');
    expect(await server.count()).toBe(0);
    expect((await server.errors.get()).values[0]).toMatchObject({ labels: { code: 'slow_reader' }, value: 1 });
  });

  it("disconnects a reader that does not read the rest after the session's end", async () => {
    const server = await start({ lingerMs: 10 });
    const socket = await server.request('/s');
    await waitFor('the stream', () => server.followers.size === 1);
    socket.pause();
    // More than the kernel buffers, less than the stream itself buffers.
    await waitFor('the connection to be full', async () => {
      server.send({ type: 'viewer.disconnected', reason: 'x'.repeat(100_000) });
      await turn();
      return (server.response?.writableLength ?? 0) > 0;
    });
    expect([await server.count(), server.followers.size]).toEqual([1, 1]);
    server.send({ type: 'session.ended', reason: 'deleted' });
    await waitFor('the stream to be cut', async () => (await server.count()) === 0);
    expect(server.followers.size).toBe(0);
    expect(server.response?.writableFinished).toBe(false);
    socket.destroy();
  });

  it('opens no stream while the service stops', async () => {
    const server = await start();
    server.hold();
    const late = server.open('/s');
    await waitFor('the request', () => server.asked === 1);
    server.streams.closeAll();
    server.release();
    expect((await late).status).toBe(503);
  });
});
