import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestClip, Producer, type Stack, startStack } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenBodies, DOCUMENT, deviations, type Operation, type Parameter, resolved } from './support/openapi.js';

interface Call {
  readonly path: string;
  readonly method: string;
  readonly service: string;
  readonly operation: Operation;
}

interface Request {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | FormData;
}

const CALLS: Call[] = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods)
    .filter(([, operation]) => !operation['x-websocket'])
    .flatMap(([method, operation]) =>
      operation.servers.map(({ description: service }) => ({ path, method, service, operation })),
    ),
);

/** Answers to valid requests that fail for another reason: no demo producer, no real player. */
const FAILING: Readonly<Record<string, number>> = {
  'post /v1/sessions/{id}/say': 404,
  'post /whep/{avatar}': 400,
  'patch /whep/resource/{id}': 404,
  'get /whep/resource/{id}': 404,
  'delete /whep/resource/{id}': 404,
};
const AVATAR = 'lights';
const UNKNOWN = { session: 'ses_unknown00000', segment: 'seg_unknown00000', sender: 'snd_unknown00000' };
const MALFORMED = ['x', '..', '%00', 'ses_%0a%0dnull', '%F0%9F%92%A9', 'a'.repeat(3000), '__proto__'];

describe('REST API', () => {
  let stack: Stack;
  let producer: Producer;
  let clip: Uint8Array;

  beforeAll(async () => {
    const env = {
      ADDRESS_REQUESTS_PER_MINUTE: '1000000',
      KEY_REQUESTS_PER_SECOND: '100000',
      CONNECTS_PER_MINUTE: '100000',
    };
    stack = await startStack({ turn: false, senders: 2, env });
    producer = new Producer(stack);
    const file = join(stack.mediaDir, AVATAR, 'idle/red.mp4');
    makeTestClip(file, { color: 'red', seconds: 1 });
    clip = readFileSync(file);
    await producer.idleLoaded(AVATAR);
  });
  afterAll(() => stack.stop());

  async function send({ path, method, service }: Call, request: Request, key: string | undefined = stack.apiKey) {
    const base = service === 'signaling' ? stack.signalingUrl : stack.loaderUrl;
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => request.path?.[name] ?? '');
    const search = new URLSearchParams(request.query);
    const response = await fetch(`${base}${filled}${search.size > 0 ? `?${search}` : ''}`, {
      method: method.toUpperCase(),
      headers: { ...(key !== '' && { authorization: `Bearer ${key}` }), ...request.headers },
      body: request.body ?? null,
      signal: AbortSignal.timeout(60_000),
    });
    const streams = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
    if (streams) await response.body?.cancel();
    return { response, body: streams ? '' : await response.text() };
  }

  /** Sends a request and checks its answer against the document. */
  async function sendChecked(call: Call, request: Request, what: string, key?: string): Promise<number> {
    const { response, body } = await send(call, request, key);
    expect(deviations(call.operation, response, body), what).toEqual([]);
    expect(response.status, `${what}: ${body}`).toBeLessThan(500);
    return response.status;
  }

  const upload = async () => (await producer.upload(AVATAR, 'clip.mp4', clip)).id;
  const openSession = async () => (await producer.createSession(AVATAR)).id;
  const definition = { name: 'Made for the test', cutPolicy: 'now' };

  /** Path parameters, which each call may use up. */
  async function pathOf({ path, method }: Call): Promise<Record<string, string>> {
    if (path.startsWith('/v1/sessions/{id}')) return { id: await openSession() };
    if (path.startsWith('/v1/segments/{id}')) return { id: await upload() };
    if (path.startsWith('/whep/resource')) return { id: 'no-such-resource' };
    if (path.startsWith('/v1/senders')) {
      const { senders } = await producer.json<{ senders: { id: string }[] }>('GET', producer.signaling('/v1/senders'));
      return { id: senders[0]?.id ?? '' };
    }
    if (path.startsWith('/v1/avatars/{id}') && method !== 'get') {
      await producer.json('PUT', `${stack.loaderUrl}/v1/avatars/made`, definition);
      return { id: 'made' };
    }
    return { id: AVATAR, avatar: AVATAR };
  }

  async function jsonBodyOf({ path }: Call): Promise<Record<string, unknown>> {
    if (path.endsWith('/speak')) return { segments: [await upload()], interrupt: true };
    if (path.endsWith('/say')) return { text: 'Hello' };
    if (path.endsWith('/interrupt')) return {};
    if (path.endsWith('/state')) return { state: 'thinking' };
    if (path.endsWith('/messages')) return { data: { page: 2 } };
    if (path.endsWith('/v1/sessions')) return { avatar: AVATAR, wait: true };
    if (path.startsWith('/v1/avatars')) return definition;
    return { pinned: true };
  }

  function queryOf({ operation }: Call): Record<string, string> {
    const values: Readonly<Record<string, string>> = {
      avatar: AVATAR,
      wait: 'true',
      from: 'now',
      pinned: 'false',
      q: 'clip',
    };
    return Object.fromEntries(
      operation.parameters
        .filter(({ name, in: place }) => place === 'query' && values[name] !== undefined)
        .map(({ name }) => [name, values[name] as string]),
    );
  }

  async function validRequest(call: Call): Promise<Request> {
    const [type] = Object.keys(call.operation.requestBody?.content ?? {});
    const request = { path: await pathOf(call), query: queryOf(call) };
    if (type === undefined) return request;
    if (type === 'multipart/form-data') {
      const body = new FormData();
      body.set('file', new Blob([Uint8Array.from(clip)]), 'clip.mp4');
      return { ...request, body };
    }
    const body = type === 'application/json' ? JSON.stringify(await jsonBodyOf(call)) : 'v=0\r\n';
    return { ...request, headers: { 'content-type': type }, body };
  }

  it('serves the document of docs/ at both services', async () => {
    for (const url of [stack.signalingUrl, stack.loaderUrl]) {
      expect(await (await fetch(`${url}/v1/openapi.json`)).json()).toEqual(DOCUMENT);
    }
  });

  describe.each(CALLS.map((call) => [`${call.method} ${call.path}`, call.service, call] as const))(
    '%s at %s',
    (name, _service, call) => {
      it('answers a valid request as documented', async () => {
        const status = await sendChecked(call, await validRequest(call), 'valid');
        if (FAILING[name] === undefined) expect(status).toBeLessThan(300);
        else expect(status).toBe(FAILING[name]);
      });

      const { security, parameters, requestBody } = call.operation;
      if (security.length > 0) {
        it('rejects missing and invalid credentials', async () => {
          const request = await validRequest(call);
          const mayBeOpen = security.some((scheme) => Object.keys(scheme).length === 0);
          for (const key of ['', 'wrong', 'a.b.c', 'x'.repeat(2000)]) {
            const status = await sendChecked(call, request, `key "${key.slice(0, 9)}"`, key);
            if (key !== '' || !mayBeOpen) expect(status).toBe(401);
          }
        });
      }

      if (parameters.length > 0) {
        it('answers malformed and unknown parameters as documented', async () => {
          const request = await validRequest(call);
          for (const parameter of parameters) {
            for (const broken of brokenParameter(parameter, request)) {
              await sendChecked(call, broken, `${parameter.name}: ${JSON.stringify([broken.path, broken.query])}`);
            }
          }
        });
      }

      const schema = requestBody?.content['application/json']?.schema;
      if (schema) {
        it('rejects every invalid body as documented', async () => {
          const headers = { 'content-type': 'application/json' };
          const path = await pathOf(call);
          const isStrict = !call.path.startsWith('/v1/segments/');
          for (const { what, body } of brokenBodies(resolved(schema), await jsonBodyOf(call))) {
            const status = await sendChecked(call, { path, headers, body: JSON.stringify(body) }, what);
            expect(status, what).toBeGreaterThanOrEqual(400);
          }
          for (const text of [
            '{',
            'null',
            '"x"',
            '7',
            '[]',
            `{"a":"${'x'.repeat(70_000)}"}`,
            '{"__proto__":{"a":1}}',
          ]) {
            const status = await sendChecked(call, { path, headers, body: text }, text.slice(0, 20));
            if (isStrict && call.path !== '/v1/avatars/{id}')
              expect(status, text.slice(0, 20)).toBeGreaterThanOrEqual(400);
          }
          await sendChecked(call, { path, headers: { 'content-type': 'text/plain' }, body: 'hello' }, 'another type');
        });
      }
    },
  );
});

function brokenParameter({ name, in: place }: Parameter, request: Request): Request[] {
  if (place === 'header') return [{ ...request, headers: { ...request.headers, [name]: `a b ${'x'.repeat(200)}` } }];
  const values = [...MALFORMED, ...Object.values(UNKNOWN)];
  if (place === 'path')
    return values.filter((id) => id !== '..').map((id) => ({ ...request, path: { ...request.path, [name]: id } }));
  return ['', ...values].map((value) => ({ ...request, query: { ...request.query, [name]: value } }));
}
