import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEY, TestLoader } from '../../testing/start-test-loader.js';

describe('limits of an API key', () => {
  let loader: TestLoader;
  const other = 'another-key-0123456789';
  const sockets: WebSocket[] = [];
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-keys-'));
    const file = join(folder, 'api-keys');
    writeFileSync(file, `other:${other}\n`);
    loader = await TestLoader.start({
      LIVE_PUSHES: '4',
      LIVE_PUSHES_PER_KEY: '2',
      UPLOADS_PER_KEY: '1',
      HUMANCAST_API_KEY_FILE: file,
    });
    await loader.defineAvatar('ann');
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await loader?.stop();
    rmSync(folder, { recursive: true });
  });

  /** Opens a push with a key. @returns The socket, or the status and body of the rejection. */
  async function push(key: string, path = '/v1/live?avatar=ann') {
    const headers = { authorization: `Bearer ${key}` };
    const socket = new WebSocket(loader.url.replace('http', 'ws') + path, { headers });
    sockets.push(socket);
    socket.on('error', () => {});
    return Promise.race([
      once(socket, 'open').then(() => socket),
      once(socket, 'unexpected-response').then(async ([, answer]) => {
        let text = '';
        for await (const chunk of answer) text += chunk;
        return { status: answer.statusCode, ...JSON.parse(text) };
      }),
    ]);
  }

  it('bound its concurrent live pushes, not those of other keys', async () => {
    const first = await push(API_KEY);
    expect(await push(API_KEY)).toBeInstanceOf(WebSocket);
    expect(await push(API_KEY)).toMatchObject({
      status: 429,
      code: 'too_many_connections',
      limit: 'LIVE_PUSHES_PER_KEY',
    });
    expect(await push(other)).toBeInstanceOf(WebSocket);
    first.close();
    await expect.poll(() => push(API_KEY).then((result) => result instanceof WebSocket)).toBe(true);
  });

  it('bound its concurrent uploads, not those of other keys', async () => {
    const upload = (key: string, body: BodyInit) =>
      loader.request('POST', '/v1/segments?avatar=ann', {
        headers: { authorization: `Bearer ${key}`, 'content-type': 'multipart/form-data; boundary=x' },
        body,
        duplex: 'half',
      } as RequestInit);
    let end = () => {};
    const slow = new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(
          new TextEncoder().encode('--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'),
        );
        end = () => controller.close();
      },
    });
    const receiving = upload(API_KEY, slow);
    await expect.poll(() => loader.metrics()).toMatch(/humancast_loader_uploads{.*} 1\n/);
    expect(await upload(API_KEY, '--x--')).toMatchObject({
      status: 429,
      body: { code: 'too_many_connections', limit: 'UPLOADS_PER_KEY' },
    });
    expect((await upload(other, '--x--')).status).toBe(400);
    end();
    expect((await receiving).status).toBe(400);
    expect((await upload(API_KEY, '--x--')).status).toBe(400);
  });
});

describe('rate limits of segment-loader', () => {
  let loader: TestLoader;
  const [key, other] = [API_KEY, 'another-key-0123456789'];
  beforeAll(async () => {
    loader = await TestLoader.start({
      TRUST_PROXY: 'loopback',
      ADDRESS_REQUESTS_PER_MINUTE: '3',
      KEY_REQUESTS_PER_SECOND: '1',
      HUMANCAST_API_KEY: `${key},${other}`,
    });
  });
  afterAll(() => loader?.stop());

  const request = (authorization: string, address: string) =>
    loader.request('GET', '/v1/avatars', { headers: { authorization, 'x-forwarded-for': address } });

  it('count requests without a valid API key by address, including uploads and live pushes', async () => {
    expect((await request('', '192.0.2.1')).status).toBe(401);
    expect((await request('Bearer guess', '192.0.2.1')).status).toBe(401);
    const push = new WebSocket(`${loader.url.replace('http', 'ws')}/v1/live?avatar=ann`, {
      headers: { 'x-forwarded-for': '192.0.2.1' },
    });
    push.on('error', () => {});
    const [, answer] = await once(push, 'unexpected-response');
    expect(answer.statusCode).toBe(401);
    const rejected = await loader.request('POST', '/v1/segments?avatar=ann', {
      headers: { authorization: '', 'x-forwarded-for': '192.0.2.1' },
      body: 'x'.repeat(100_000),
    });
    expect(rejected).toMatchObject({
      status: 429,
      body: { code: 'rate_limited', limit: 'ADDRESS_REQUESTS_PER_MINUTE' },
    });
    expect(Number(rejected.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await request('', '192.0.2.2')).status).toBe(401);
    expect(await loader.metrics()).toMatch(/humancast_loader_limited_total{limit="ADDRESS_REQUESTS_PER_MINUTE".*} 1\n/);
  });

  it('count requests with an API key per key', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 20; i++) statuses.push((await request(`Bearer ${key}`, `198.51.100.${i}`)).status);
    expect(statuses.slice(0, 10)).toEqual(Array<number>(10).fill(200));
    expect(statuses).toContain(429);
    expect((await request(`Bearer ${other}`, '198.51.100.1')).status).toBe(200);
  });
});
