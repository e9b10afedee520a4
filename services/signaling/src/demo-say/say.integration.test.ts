import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HumancastError, newId, signToken, toProblem } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { API_KEY, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';

const SEGMENT = newId('seg');

describe('say', () => {
  let stack: TestStack;
  let producer: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let signaling: TestSignaling;
  let without: TestSignaling;
  let sayUrl: string;
  /** The last request to the demo producer. */
  let asked: { url: string | undefined; auth: string | undefined; body: unknown };
  let askedKey: string | string[] | undefined;

  beforeAll(async () => {
    producer = createServer((request, response) => {
      let text = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      request.on('end', () => {
        askedKey = request.headers['idempotency-key'];
        asked = { url: request.url, auth: request.headers.authorization, body: JSON.parse(text) };
        answer(request, response);
      });
    });
    await new Promise<void>((resolve) => producer.listen(0, '127.0.0.1', resolve));
    sayUrl = `http://127.0.0.1:${(producer.address() as AddressInfo).port}`;
    stack = await TestStack.start();
    await stack.addAvatar('other');
    [signaling, without] = await Promise.all([stack.signaling({ sayUrl }), stack.signaling()]);
  });
  afterAll(async () => {
    await stack.stop();
    await new Promise((resolve) => producer.close(resolve));
  });

  const say = (id: string, body: unknown, auth = API_KEY, at = signaling) =>
    at.request('POST', `/v1/sessions/${id}/say`, { auth, body });
  const answerProblem = (error: HumancastError, headers = {}) => {
    answer = (_request, response) => response.writeHead(error.status, headers).end(JSON.stringify(toProblem(error)));
  };

  it("forwards a text to the demo producer with signaling's key, not the caller's", async () => {
    answer = (_request, response) => response.writeHead(202).end(JSON.stringify({ segment: SEGMENT, ahead: 0 }));
    const { id } = await signaling.makeSession();
    const exp = Math.floor(Date.now() / 1000) + 60;
    const token = await signToken({ sid: id, exp, scope: 'control' }, ['secret-of-the-tests']);
    const { status, body } = await say(id, { text: 'Hello', interrupt: true }, token);
    expect({ status, body }).toEqual({ status: 202, body: { segment: SEGMENT, ahead: 0, turn: 0 } });
    expect(asked).toEqual({
      url: '/v1/say',
      auth: `Bearer ${API_KEY}`,
      body: { session: id, text: 'Hello', interrupt: true, turn: 0 },
    });
  });

  it('gives a text the turn in which it was accepted, and rejects one of an earlier turn', async () => {
    answer = (_request, response) => response.writeHead(202).end(JSON.stringify({ ahead: 0, turn: 1 }));
    const { id } = await signaling.makeSession();
    await signaling.request('POST', `/v1/sessions/${id}/interrupt`);
    expect(await say(id, { text: 'Hello' })).toMatchObject({ status: 202, body: { turn: 1 } });
    expect(asked.body).toEqual({ session: id, text: 'Hello', interrupt: false, turn: 1 });
    expect(await say(id, { text: 'Late', turn: 0 })).toMatchObject({
      status: 409,
      body: { code: 'interrupted', turn: 1 },
    });
    expect(asked.body).toMatchObject({ text: 'Hello' });
  });

  it('forwards the Idempotency-Key', async () => {
    answer = (_request, response) => response.writeHead(202).end(JSON.stringify({ ahead: 0 }));
    const { id } = await signaling.makeSession();
    const headers = { 'idempotency-key': '"abc"' };
    await signaling.request('POST', `/v1/sessions/${id}/say`, { headers, body: { text: 'Hello' } });
    expect(askedKey).toBe('abc');
  });

  it('uses SAY_KEY if it is set', async () => {
    answer = (_request, response) => response.writeHead(202).end(JSON.stringify({ ahead: 0 }));
    const sayKey = 'key-of-the-demo-producer';
    const own = await stack.signaling({ sayUrl, sayKey, apiKeys: [`sha256:${'0'.repeat(64)}`] });
    const { id } = await signaling.makeSession();
    const token = await signToken({ sid: id, exp: Math.floor(Date.now() / 1000) + 60, scope: 'control' }, [
      'secret-of-the-tests',
    ]);
    expect(await say(id, { text: 'Hello' }, token, own)).toMatchObject({ status: 202 });
    expect(asked.auth).toBe(`Bearer ${sayKey}`);
  });

  it('rejects a token that may only watch', async () => {
    const { id, token } = await signaling.makeSession();
    expect(await say(id, { text: 'Hello' }, token)).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect(await say(id, { text: 'Hello' }, '')).toMatchObject({ status: 401 });
  });

  it('is announced by canSay in the session', async () => {
    const canSay = async (at: TestSignaling, avatar: string) => {
      const { body } = await at.request('POST', '/v1/sessions', { body: { avatar } });
      return (await at.request('GET', `/v1/sessions/${body.id}`)).body.canSay;
    };
    expect(await canSay(signaling, 'demo')).toBe(true);
    expect(await canSay(signaling, 'other')).toBe(false);
    expect(await canSay(without, 'demo')).toBe(false);
  });

  it('answers not_found without a demo producer or for another avatar', async () => {
    const { id } = await signaling.makeSession();
    expect(await say(id, { text: 'Hello' }, API_KEY, without)).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    const { body: other } = await signaling.request('POST', '/v1/sessions', { body: { avatar: 'other' } });
    expect(await say(other.id, { text: 'Hello' })).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect(await say(newId('ses'), { text: 'Hello' })).toMatchObject({ body: { code: 'session_not_found' } });
  });

  it("returns the demo producer's errors, but not a rejection of signaling's key", async () => {
    const { id } = await signaling.makeSession();
    answerProblem(new HumancastError('no_capacity', 'busy'), { 'retry-after': '5' });
    const busy = await say(id, { text: 'Hello' });
    expect(busy).toMatchObject({ status: 503, body: { code: 'no_capacity', detail: 'busy' } });
    expect(busy.headers.get('retry-after')).toBe('5');
    answerProblem(new HumancastError('unauthorized'));
    expect(await say(id, { text: 'Hello' })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    answer = (_request, response) => response.destroy();
    expect(await say(id, { text: 'Hello' })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
  });

  it.each([{}, { text: '' }, { text: 'a'.repeat(10_001) }, { text: 'a', colour: 'red' }])(
    'rejects %j',
    async (body) => {
      const { id } = await signaling.makeSession();
      expect(await say(id, body)).toMatchObject({ status: 400, body: { code: 'bad_request' } });
    },
  );

  it('signaling does not start with a demo producer but no key for it', async () => {
    await expect(stack.signaling({ sayUrl: 'http://127.0.0.1:9', apiKeys: [] })).rejects.toThrow('HUMANCAST_API_KEY');
    const onlyHashes = [`sha256:${'0'.repeat(64)}`];
    await expect(stack.signaling({ sayUrl: 'http://127.0.0.1:9', apiKeys: onlyHashes })).rejects.toThrow('SAY_KEY');
  });
});
