import { readFileSync } from 'node:fs';
import type { SessionDetails } from '@humancast/protocol';
import { createLogger, HumancastError, loadConfig, newId, toProblem } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeLoader, type Received } from '../../../packages/producer/testing/fake-loader.js';
import { type RunningDemoProducer, startDemoProducer } from './demo-producer.js';
import { demoProducerSettings } from './settings.js';

const SESSION: Omit<SessionDetails, 'id'> = {
  avatar: 'demo',
  state: 'hosted',
  epoch: 1,
  createdAtMs: 0,
  demo: false,
  viewerCount: 0,
  viewers: [],
  queue: [],
  interruptedSeq: 0,
  turn: 0,
  idleState: 'idle',
  bargeIn: 'off',
  live: false,
  canSay: true,
};

const SIZE = 160;

/** Serves the routes of signaling and the loader that the demo producer uses, and records the requests in order. */
class FakeBackend {
  readonly loader: FakeLoader;
  readonly asked: string[] = [];
  readonly ended = new Set<string>();
  #sendEvent: (event: object) => void = () => {};

  constructor(loader: FakeLoader) {
    this.loader = loader;
    loader.route = (request, response) => {
      const [, kind, id = '', action = ''] =
        /^\/v1\/(sessions|segments)\/([^/]+)\/?(\w*)/.exec(request.url ?? '') ?? [];
      this.asked.push(`${request.method} ${kind} ${action}`.trim());
      const json = (status: number, body: unknown) => response.writeHead(status).end(JSON.stringify(body));
      if (this.ended.has(id)) json(404, toProblem(new HumancastError('session_not_found')));
      else if (action === 'interrupt') {
        this.interrupt();
        json(202, { interruptedSeq: 1, turn: this.loader.turn });
      } else if (kind === 'segments') response.writeHead(204).end();
      else if (action === 'events') {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
        let n = 0;
        this.#sendEvent = (event) => {
          const whole = { id: `${n++}-1`, session: id, atMs: 0, ...event };
          response.write(`id: ${whole.id}\ndata: ${JSON.stringify(whole)}\n\n`);
        };
      } else json(200, { ...SESSION, id, turn: loader.turn });
    };
  }

  /** Begins a new turn. */
  interrupt({ isTold = true } = {}): void {
    this.loader.turn++;
    if (isTold) this.event({ type: 'session.interrupted', interruptedSeq: 1, turn: this.loader.turn });
  }

  event(event: object): void {
    this.#sendEvent(event);
  }
}

const peakOf = ({ audio }: Received) => {
  const bytes = Buffer.concat(audio);
  return new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
};

describe('startDemoProducer()', () => {
  let backend: FakeBackend;
  let producer: RunningDemoProducer;
  let session: string;
  const loaded = () => backend.loader.pushes;

  async function start(overrides: Record<string, string> = {}): Promise<RunningDemoProducer> {
    const { url, apiKey } = backend.loader;
    const config = loadConfig(demoProducerSettings, {
      SIGNALING_URL: url,
      LOADER_URL: url,
      HUMANCAST_API_KEY: apiKey,
      SAY_PICTURE_SIZE: String(SIZE),
      BIND_ADDRESS: '127.0.0.1',
      SAY_PORT: '0',
      SAY_METRICS_PORT: '0',
      SAY_AHEAD_MS: '10000',
      SAY_QUEUE_LIMIT: '1',
      ...overrides,
    });
    return startDemoProducer(config, createLogger('demo-producer', 'silent'));
  }

  async function say(body: object, { auth = backend.loader.apiKey, at = producer } = {}) {
    const response = await fetch(`http://127.0.0.1:${at.port}/v1/say`, {
      method: 'POST',
      headers: { authorization: `Bearer ${auth}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  beforeAll(async () => {
    backend = new FakeBackend(await FakeLoader.start());
  });
  beforeEach(async () => {
    session = newId('ses');
    loaded().length = 0;
    backend.loader.turn = 0;
    backend.asked.length = 0;
    producer = await start();
  });
  afterEach(() => producer.close());
  afterAll(() => backend.loader.close());

  it('POST /v1/say pushes a text as equally long audio and video, with an audible voice and a moving mouth', async () => {
    backend.loader.keepFrames = true;
    const { status, body } = await say({ session, text: 'Hello there. How are you?' });
    expect(status).toBe(202);
    const { last } = backend.loader;
    expect(body).toEqual({ ahead: 0, segment: last.segment, turn: 0 });
    await waitFor('the push to end', () => last.outcome === 'end');
    backend.loader.keepFrames = false;
    expect(last).toMatchObject({ avatar: 'demo', session, breaches: [] });
    expect(last.start).toMatchObject({ pixelFormat: 'i420', width: SIZE, height: SIZE, fps: 30, sampleRate: 22_050 });
    expect(Buffer.concat(last.audio).length / 2).toBe(last.frames.length * 735);
    expect(last.frames.length).toBeGreaterThan(45);
    expect(peakOf(last)).toBeGreaterThan(5000);
    expect(last.frames[0]?.equals(last.frames[10] as Buffer)).toBe(false);
    expect(last.texts.map(({ text }) => text)).toEqual(['Hello there.', 'How are you?']);
  });

  it('POST /v1/say with `interrupt` stops the current speech before synthesizing the new text', async () => {
    const text = 'This is a rather long sentence that would take a while to say. And another one.';
    await say({ session, text });
    const [first] = loaded();
    await waitFor('speech', () => (first?.frameTimesMs.length ?? 0) > 3);
    backend.asked.length = 0;
    const { body } = await say({ session, text: 'Stop.', interrupt: true });
    const second = backend.loader.last;
    expect(body).toEqual({ ahead: 0, segment: second.segment, turn: 1 });
    expect(second.segment).not.toBe(first?.segment);
    expect(second.turn).toBe(1);
    expect(backend.asked).toContain('POST sessions interrupt');
    await waitFor('the second push to end', () => second.outcome === 'end');
    expect(first?.outcome).toBe('gone');
  });

  it('POST /v1/say queues texts that do not interrupt, and rejects with queue_full beyond the limit', async () => {
    await say({ session, text: 'One.' });
    expect((await say({ session, text: 'Two.' })).body).toEqual({ ahead: 1, turn: 0 });
    expect(await say({ session, text: 'Three.' })).toMatchObject({ status: 409, body: { code: 'queue_full' } });
    await waitFor(
      'both pushes to end',
      () => loaded().length === 2 && loaded().every(({ outcome }) => outcome === 'end'),
    );
    const [one, two] = loaded();
    expect(two?.startedAtMs).toBeGreaterThan(one?.frameTimesMs.at(-1) ?? Number.NaN);
  });

  it('POST /v1/say rejects a session beyond the limit with no_capacity', async () => {
    const small = await start({ SAY_SESSION_LIMIT: '1' });
    const text = 'A sentence of some length.';
    expect((await say({ session, text }, { at: small })).status).toBe(202);
    const refused = await say({ session: newId('ses'), text }, { at: small });
    expect(refused).toMatchObject({ status: 503, body: { code: 'no_capacity' } });
    expect((await say({ session, text, interrupt: true }, { at: small })).status).toBe(202);
    await small.close();
  });

  it('session.interrupted drops the waiting texts; the next request is spoken', async () => {
    const slow = await start({ SAY_AHEAD_MS: '100' });
    await say({ session, text: 'A long sentence that goes on and on, until someone has had enough.' }, { at: slow });
    const [first] = loaded();
    await waitFor('speech', () => (first?.frameTimesMs.length ?? 0) > 3);
    expect((await say({ session, text: 'And another.' }, { at: slow })).body).toMatchObject({ ahead: 1 });
    backend.interrupt();
    first?.send({ type: 'interrupted', positionMs: 100 });
    await waitFor('the push to stop', () => first?.outcome === 'gone');
    expect(await say({ session, text: 'Next.' }, { at: slow })).toMatchObject({ status: 202 });
    await waitFor('the next push to end', () => backend.loader.last.outcome === 'end');
    expect(loaded()).toHaveLength(2);
    await slow.close();
  });

  it('a text whose turn is over is not spoken, even if its event has not arrived', async () => {
    const slow = await start({ SAY_AHEAD_MS: '100' });
    await say({ session, text: 'A long sentence that goes on and on, until someone has had enough.' }, { at: slow });
    const [first] = loaded();
    await say({ session, text: 'And another.' }, { at: slow });
    backend.interrupt({ isTold: false });
    first?.send({ type: 'interrupted', positionMs: 100 });
    await waitFor('the second push', () => loaded().length === 2);
    await waitFor('the second push to be closed', () => loaded()[1]?.outcome === 'gone');
    expect(loaded()[1]?.frameTimesMs).toEqual([]);
    const refused = await say({ session, text: 'Too late.', turn: 0 }, { at: slow });
    expect(refused).toMatchObject({ status: 409, body: { code: 'interrupted' } });
    await slow.close();
  });

  it('the push stops when the viewer interrupts', async () => {
    const slow = await start({ SAY_AHEAD_MS: '100' });
    await say({ session, text: 'A long sentence that goes on and on, until someone has had enough.' }, { at: slow });
    const { last } = backend.loader;
    await waitFor('speech', () => last.frameTimesMs.length > 3);
    last.send({ type: 'interrupted', positionMs: 100 });
    await waitFor('the push to stop', () => last.outcome === 'gone');
    expect(last.frameTimesMs.length).toBeLessThan(60);
    await slow.close();
  });

  it('the push stops when the session ends, and further texts are rejected with session_not_found', async () => {
    const slow = await start({ SAY_AHEAD_MS: '100' });
    await say({ session, text: 'A long sentence that goes on and on, and on, and on.' }, { at: slow });
    const { last } = backend.loader;
    await waitFor('the event stream', () => backend.asked.includes('GET sessions events'));
    backend.event({ type: 'session.ended', reason: 'deleted' });
    await waitFor('the push to stop', () => last.outcome === 'gone');
    backend.ended.add(session);
    const refused = await say({ session, text: 'Hello?' }, { at: slow });
    expect(refused).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    await slow.close();
  });

  it('a segment is deleted once it has finished playing', async () => {
    await say({ session, text: 'Hi.' });
    const { segment } = backend.loader.last;
    await waitFor('the push to end', () => backend.loader.last.outcome === 'end');
    expect(backend.asked).not.toContain('DELETE segments');
    expect(backend.asked).toContain('GET sessions events');
    const finished = { seq: 1, positionMs: 900, interrupted: false, reason: 'finished' };
    backend.event({ type: 'speech.finished', segment, ...finished });
    await waitFor('the segment to be deleted', () => backend.asked.includes('DELETE segments'));
  });

  it.each([
    [{ text: '…' }, 400, 'bad_request'],
    [{ text: 'a'.repeat(501) }, 400, 'bad_request'],
    [{ session: 'someone', text: 'Hello' }, 400, 'bad_request'],
    [{ words: 'Hello' }, 400, 'bad_request'],
    [{ text: 'a'.repeat(70_000) }, 413, 'message_too_large'],
  ])('POST /v1/say rejects %j', async (order, status, code) => {
    expect(await say({ session, ...order })).toMatchObject({ status, body: { code } });
    expect(loaded()).toEqual([]);
  });

  it('POST /v1/say requires an API key, and hides errors of the producer’s own key as unavailable', async () => {
    expect(await say({ session, text: 'Hello' }, { auth: 'guess' })).toMatchObject({ status: 401 });
    backend.loader.rejection = 'unauthorized';
    expect(await say({ session, text: 'Hello' })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    const response = await fetch(`http://127.0.0.1:${producer.port}/v1/say`);
    expect(response.status).toBe(405);
  });
});

it('README lists every setting of the demo producer with its default', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  for (const { variable, fallback } of Object.values(demoProducerSettings)) {
    expect(readme).toContain(`\`${variable}\``);
    if (fallback)
      expect(readme.split('\n').find((line) => line.includes(`\`${variable}\``))).toContain(`\`${fallback}\``);
  }
});
