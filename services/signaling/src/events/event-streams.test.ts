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

/** The streams behind a real HTTP server; the registry answers when it is told to, and events come from the test. */
class Scene {
  readonly gauge = new Gauge({ name: 'streams', help: 'streams', registers: [] });
  readonly errors = new Counter({ name: 'errors', help: 'errors', labelNames: ['code'], registers: [] });
  readonly streams: EventStreams;
  readonly followers = new Map<(event: SessionEvent) => void, string>();
  readonly server: Server;
  /** Requests that have reached the registry. */
  asked = 0;
  served = 0;
  /** The latest. */
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
    this.server = createServer((request, response) => {
      this.response = response;
      const url = new URL(request.url ?? '', 'http://test');
      const reader = { network: url.searchParams.get('from') ?? 'here', key: url.searchParams.get('key') ?? undefined };
      const start = { lastEventId: undefined, fromStart: false };
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
    return (this.server.address() as { port: number }).port;
  }

  /** A connection that has sent its request. */
  request(path: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.port, '127.0.0.1', () => {
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, () => resolve(socket));
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
  const scenes: Scene[] = [];
  async function start(options: Partial<EventStreamsOptions> = {}): Promise<Scene> {
    const scene = new Scene(options);
    scenes.push(scene);
    await new Promise<void>((resolve) => scene.server.listen(0, '127.0.0.1', resolve));
    return scene;
  }
  afterEach(() => {
    for (const scene of scenes.splice(0)) {
      scene.server.closeAllConnections();
      scene.server.close();
    }
  });

  it('keep nothing of 500 readers that disconnect while their session is looked up', async () => {
    const scene = await start({ eventStreamLimit: 500, eventStreamsPerAddress: 500, eventStreamsPerSession: 500 });
    scene.hold();
    const sockets = await Promise.all(Array.from({ length: 500 }, () => scene.request('/s')));
    await waitFor('all requests', () => scene.asked === 500);
    for (const socket of sockets) socket.resetAndDestroy();
    await waitFor('their places to be free', async () => {
      const connections = await new Promise<number>((resolve) => scene.server.getConnections((_, n) => resolve(n)));
      return connections === 0;
    });
    scene.release();
    await waitFor('all to be served', () => scene.served === 500);
    expect([await scene.count(), scene.followers.size]).toEqual([0, 0]);
    // Every place is free again.
    const responses = await Promise.all(Array.from({ length: 500 }, () => scene.open('/s')));
    expect(responses.every(({ status }) => status === 200)).toBe(true);
    expect([await scene.count(), scene.followers.size]).toEqual([500, 500]);
    const refused = await scene.open('/s');
    expect(refused.status).toBe(503);
    expect(await refused.json()).toEqual({ code: 'unavailable', limit: 'EVENT_STREAM_LIMIT' });
  });

  it.each([
    ['EVENT_STREAMS_PER_SESSION', { eventStreamsPerSession: 2 }, '/a?from=x', '/a?from=y', '/b?from=x'],
    ['EVENT_STREAMS_PER_ADDRESS', { eventStreamsPerAddress: 2 }, '/a?from=x', '/b?from=x', '/b?from=y'],
    ['EVENT_STREAMS_PER_KEY', { eventStreamsPerKey: 2 }, '/a?key=k', '/b?key=k', '/b?key=other'],
  ])('are limited by %s, and free a place with the reader that goes', async (limit, options, path, same, other) => {
    const scene = await start(options);
    const gone = new AbortController();
    await scene.open(path);
    await fetch(`http://127.0.0.1:${scene.port}${path}`, { signal: gone.signal });
    const refused = await scene.open(same);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await refused.json()).toEqual({ code: 'too_many_connections', limit });
    expect((await scene.open(other)).status).toBe(200);
    gone.abort();
    await waitFor('the place', async () => (await scene.count()) === 2);
    expect((await scene.open(same)).status).toBe(200);
  });

  it('close the stream of a reader that does not read, with the reason', async () => {
    const scene = await start();
    const socket = await scene.request('/s');
    await waitFor('the stream', () => scene.followers.size === 1);
    socket.pause();
    const reason = 'x'.repeat(100_000);
    await waitFor('the reader to be cut off', () => {
      scene.send({ type: 'viewer.disconnected', reason });
      return scene.followers.size === 0;
    });
    let text = '';
    socket.on('data', (data) => {
      text = `${text}${data}`.slice(-1000);
    });
    socket.resume();
    await waitFor('the end', () => socket.readableEnded);
    expect(text).toContain('event: stream.closed\ndata: {"code":"slow_reader"');
    expect(await scene.count()).toBe(0);
    expect((await scene.errors.get()).values[0]).toMatchObject({ labels: { code: 'slow_reader' }, value: 1 });
  });

  it('disconnect a reader that does not read the rest after the session’s end', async () => {
    const scene = await start({ lingerMs: 10 });
    const socket = await scene.request('/s');
    await waitFor('the stream', () => scene.followers.size === 1);
    socket.pause();
    // More than the kernel's buffers hold, less than what the stream itself lets wait.
    await waitFor('the connection to be full', async () => {
      scene.send({ type: 'viewer.disconnected', reason: 'x'.repeat(100_000) });
      await turn();
      return (scene.response?.writableLength ?? 0) > 0;
    });
    expect([await scene.count(), scene.followers.size]).toEqual([1, 1]);
    scene.send({ type: 'session.ended', reason: 'deleted' });
    await waitFor('the stream to be cut', async () => (await scene.count()) === 0);
    expect(scene.followers.size).toBe(0);
    expect(scene.response?.writableFinished).toBe(false);
    socket.destroy();
  });

  it('are not opened while the service stops', async () => {
    const scene = await start();
    scene.hold();
    const late = scene.open('/s');
    await waitFor('the request', () => scene.asked === 1);
    scene.streams.closeAll();
    scene.release();
    expect((await late).status).toBe(503);
  });
});
