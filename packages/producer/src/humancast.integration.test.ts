import type { IncomingMessage } from 'node:http';
import type { SessionEvent } from '@humancast/protocol';
import { HumancastError, newId, toProblem } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeLoader, type Route } from '../testing/fake-loader.js';
import { Humancast } from './humancast.js';

const SESSION = newId('ses');
const SEGMENT = newId('seg');

let server: FakeLoader;
let humancast: Humancast;

beforeAll(async () => {
  server = await FakeLoader.start();
  humancast = new Humancast({ apiKey: server.apiKey, loaderUrl: server.url, signalingUrl: server.url });
});
afterAll(() => server.close());

interface ReceivedRequest {
  method: string | undefined;
  url: string | undefined;
  auth: string | undefined;
  body: string;
}

/** Answers the next requests with JSON, and records them. */
function answer(status: number, body: unknown, headers: Record<string, string> = {}): ReceivedRequest {
  const received: ReceivedRequest = { method: undefined, url: undefined, auth: undefined, body: '' };
  server.route = (request, response) => {
    received.method = request.method;
    received.url = request.url;
    received.auth = request.headers.authorization;
    void textOf(request).then((text) => {
      received.body = text;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(body === undefined ? '' : JSON.stringify(body));
    });
  };
  return received;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

describe('Humancast REST methods', () => {
  it('createSession() returns the session without members that it does not know', async () => {
    const session = {
      id: SESSION,
      avatar: 'demo',
      token: 't',
      scope: 'view',
      expiresAt: '2026-01-01T00:00:00Z',
      signalUrl: '/v1/signal',
      iceServers: [],
      relayOnly: false,
      turn: 0,
    };
    const received = answer(201, { ...session, fromALaterVersion: true });
    expect(await humancast.createSession('demo')).toEqual(session);
    expect(received).toMatchObject({ method: 'POST', url: '/v1/sessions', auth: `Bearer ${server.apiKey}` });
    expect(JSON.parse(received.body)).toEqual({ avatar: 'demo' });
  });

  it('speak(), interrupt(), say() and endSession() send their commands', async () => {
    const queued = [{ seq: 3, segment: SEGMENT }];
    const speak = answer(202, { queued });
    expect(await humancast.speak(SESSION, [SEGMENT], { interrupt: true })).toEqual(queued);
    expect(speak).toMatchObject({ method: 'POST', url: `/v1/sessions/${SESSION}/speak` });
    expect(JSON.parse(speak.body)).toEqual({ segments: [SEGMENT], interrupt: true });
    const interrupt = answer(202, { interruptedSeq: 3, turn: 2 });
    expect(await humancast.interrupt(SESSION)).toEqual({ interruptedSeq: 3, turn: 2 });
    expect(interrupt).toMatchObject({ url: `/v1/sessions/${SESSION}/interrupt`, body: '' });
    const say = answer(202, { segment: SEGMENT, ahead: 0, turn: 2 });
    expect(await humancast.say(SESSION, 'Hello')).toEqual({ segment: SEGMENT, ahead: 0, turn: 2 });
    expect(JSON.parse(say.body)).toEqual({ text: 'Hello', interrupt: false });
    const state = answer(200, { state: 'thinking', turn: 2 });
    await humancast.setState(SESSION, 'thinking', { turn: 2 });
    expect(state).toMatchObject({ method: 'PUT', url: `/v1/sessions/${SESSION}/state` });
    expect(JSON.parse(state.body)).toEqual({ state: 'thinking', turn: 2 });
    const message = answer(202, { sent: true });
    await humancast.sendMessage(SESSION, { page: 2 }, { viewer: 'vw_00000000' });
    expect(message).toMatchObject({ method: 'POST', url: `/v1/sessions/${SESSION}/messages` });
    expect(JSON.parse(message.body)).toEqual({ data: { page: 2 }, viewer: 'vw_00000000' });
    const end = answer(204, undefined);
    await humancast.endSession(SESSION);
    expect(end.method).toBe('DELETE');
  });

  it('speak(), interrupt() and say() send the turn that their caller states', async () => {
    const speak = answer(202, { queued: [], turn: 4 });
    await humancast.speak(SESSION, [SEGMENT], { turn: 4 });
    expect(JSON.parse(speak.body)).toMatchObject({ turn: 4 });
    const interrupt = answer(202, { interruptedSeq: 3, turn: 5 });
    await humancast.interrupt(SESSION, { turn: 4 });
    expect(JSON.parse(interrupt.body)).toEqual({ turn: 4 });
    const say = answer(409, toProblem(new HumancastError('interrupted', { extra: { turn: 5 } })));
    const late = humancast.say(SESSION, 'Hello', { turn: 4 });
    await expect(late).rejects.toMatchObject({ code: 'interrupted', extra: { turn: 5 } });
    expect(JSON.parse(say.body)).toMatchObject({ turn: 4 });
  });

  it('repeats an unanswered command under the same key, and no other request', async () => {
    const keys: (string | string[] | undefined)[] = [];
    const unavailable = new HumancastError('unavailable');
    server.route = (request, response) => {
      keys.push(request.headers['idempotency-key']);
      if (keys.length === 1) request.socket.destroy();
      else if (keys.length === 2) response.writeHead(503).end(JSON.stringify(toProblem(unavailable)));
      else response.writeHead(202).end(JSON.stringify({ interruptedSeq: 3 }));
    };
    const patient = new Humancast({ apiKey: server.apiKey, signalingUrl: server.url });
    await patient.interrupt(SESSION);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^\S{16,}$/);
    keys.length = 0;
    await expect(patient.session(SESSION)).rejects.toMatchObject({ code: 'unreachable' });
    expect(keys).toEqual([undefined]);
  });

  it('uploadSegment() uploads a file', async () => {
    const known = { id: SEGMENT, avatar: 'demo', name: 'a b.mp4', role: 'speech', source: 'upload' };
    const received = answer(201, { ...known, state: 'complete', progress: 1, durationMs: 1000 });
    const segment = await humancast.uploadSegment('demo', new Blob(['moov']), { name: 'a b.mp4' });
    expect(segment.durationMs).toBe(1000);
    expect(received.url).toBe('/v1/segments?avatar=demo');
    expect(received.body).toMatch(/name="file"; filename="a b.mp4"[\s\S]*moov/);
  });

  it('segments() searches by name', async () => {
    const received = answer(200, { segments: [] });
    expect(await humancast.segments({ avatar: 'demo', query: 'a&b' })).toEqual([]);
    expect(received.url).toBe('/v1/segments?avatar=demo&q=a%26b');
  });

  it("reject with the problem document's code", async () => {
    const error = new HumancastError('segment_not_found', { detail: 'no such', extra: { segment: SEGMENT } });
    answer(404, toProblem(error), { 'retry-after': '7' });
    await expect(humancast.speak(SESSION, [SEGMENT])).rejects.toMatchObject({
      name: 'ProducerError',
      code: 'segment_not_found',
      message: 'no such',
      status: 404,
      retryAfterSeconds: 7,
      extra: { segment: SEGMENT },
    });
  });

  it('reject with a code of their own if another server answers', async () => {
    answer(502, 'Bad gateway');
    await expect(humancast.session(SESSION)).rejects.toMatchObject({ code: 'bad_answer', status: 502 });
    answer(200, { hello: 'world' });
    await expect(humancast.session(SESSION)).rejects.toMatchObject({ code: 'bad_answer' });
  });

  it('time out, and reject at once when the signal is aborted', async () => {
    server.route = () => {};
    const hasty = new Humancast({ apiKey: server.apiKey, signalingUrl: server.url, timeoutMs: 300 });
    await expect(hasty.sessions()).rejects.toMatchObject({ code: 'timeout' });
    await expect(humancast.sessions({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    const unreachable = new Humancast({ apiKey: 'x', signalingUrl: 'http://127.0.0.1:9' });
    await expect(unreachable.sessions()).rejects.toMatchObject({ code: 'unreachable' });
  });
});

describe('Humancast.events()', () => {
  const event = (n: number, type = 'viewer.connected') =>
    `id: ${n}-0\nevent: ${type}\ndata: ${JSON.stringify({ id: `${n}-0`, session: SESSION, atMs: n, type, viewer: 'vw_12345678', reason: 'x' })}\n\n`;

  /** One answer per connection, and the requests. */
  function serve(...answers: string[]): { urls: (string | undefined)[]; lastIds: (string | string[] | undefined)[] } {
    const received: ReturnType<typeof serve> = { urls: [], lastIds: [] };
    const route: Route = (request, response) => {
      received.urls.push(request.url);
      received.lastIds.push(request.headers['last-event-id']);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('retry: 1\n\n:\n\n');
      const body = answers[received.urls.length - 1];
      // Without an end, so that the connection stays.
      if (body !== undefined) response.end(body);
    };
    server.route = route;
    return received;
  }

  async function collect(options = {}): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of humancast.events(SESSION, options) as AsyncIterable<SessionEvent>) ids.push(id);
    return ids;
  }

  it('yields events in order until the session ends', async () => {
    const received = serve(event(1) + event(2) + event(3, 'session.ended'));
    expect(await collect({ from: 'start' })).toEqual(['1-0', '2-0', '3-0']);
    expect(received.urls).toEqual([`/v1/sessions/${SESSION}/events?from=start`]);
  });

  it('continues after the last event when the connection is lost, and skips unknown events', async () => {
    const received = serve(event(1) + event(2), '', event(3, 'moon.full') + event(4) + event(5, 'session.ended'));
    expect(await collect({ from: 'start' })).toEqual(['1-0', '2-0', '4-0', '5-0']);
    expect(received.lastIds).toEqual([undefined, '2-0', '2-0']);
  });

  it('yields events.missed, and continues after it', async () => {
    const missed = { type: 'events.missed', afterId: '1-0', throughId: '7-0', scope: 'all' };
    const data = JSON.stringify({ ...missed, id: '7-0', session: SESSION, atMs: 7 });
    const received = serve(event(1), `id: 7-0\nevent: events.missed\ndata: ${data}\n\n`, event(8, 'session.ended'));
    const events: SessionEvent[] = [];
    for await (const item of humancast.events(SESSION, { from: 'start' })) events.push(item);
    expect(events.map(({ id }) => id)).toEqual(['1-0', '7-0', '8-0']);
    expect(events[1]).toMatchObject(missed);
    expect(received.lastIds).toEqual([undefined, '1-0', '7-0']);
  });

  it('skips data that is no event, and accepts unknown members and reasons', async () => {
    const finished = { type: 'speech.finished', seq: 1, segment: SEGMENT, positionMs: 1, interrupted: true };
    const data = JSON.stringify({ ...finished, reason: 'bored', mood: 1, id: '2-0', session: SESSION, atMs: 2 });
    const received = serve(`id: 1-0\ndata: {"type":\n\nid: 2-0\ndata: ${data}\n\n${event(3, 'session.ended')}`);
    const events: SessionEvent[] = [];
    for await (const item of humancast.events(SESSION, { from: 'start' })) events.push(item);
    expect(events.map(({ type }) => type)).toEqual(['speech.finished', 'session.ended']);
    expect(events[0]).toMatchObject({ ...finished, reason: 'failed' });
    expect(received.lastIds).toEqual([undefined]);
  });

  it('calls onOpen, and stops when the signal is aborted', async () => {
    serve();
    const abort = new AbortController();
    let connections = 0;
    const onConnected = () => {
      connections++;
      abort.abort();
    };
    expect(await collect({ signal: abort.signal, onConnected })).toEqual([]);
    expect(connections).toBe(1);
  });

  it('throws for an unknown session, and retries after a server error', async () => {
    answer(404, toProblem(new HumancastError('session_not_found')));
    await expect(collect()).rejects.toMatchObject({ code: 'session_not_found' });
    let rejected = false;
    server.route = (_request, response) => {
      if (rejected) response.writeHead(200).end(event(1, 'session.ended'));
      else response.writeHead(503).end(JSON.stringify(toProblem(new HumancastError('unavailable'))));
      rejected = true;
    };
    expect(await collect()).toEqual(['1-0']);
  });
});
