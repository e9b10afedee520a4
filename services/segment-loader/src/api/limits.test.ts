import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEY, TestLoader } from '../../testing/start-test-loader.js';

describe('the limits of the segment-loader', () => {
  let loader: TestLoader;
  const [key, other] = [API_KEY, 'another-key-0123456789'];
  beforeAll(async () => {
    loader = await TestLoader.start({
      ...{ TRUST_PROXY: 'loopback', ADDRESS_REQUESTS_PER_MINUTE: '3', KEY_REQUESTS_PER_SECOND: '1' },
      HUMANCAST_API_KEY: `${key},${other}`,
    });
  });
  afterAll(() => loader?.stop());

  const ask = (authorization: string, address: string) =>
    loader.ask('GET', '/v1/avatars', { headers: { authorization, 'x-forwarded-for': address } });

  it('count requests without a valid API key by address, uploads and live pushes too', async () => {
    expect((await ask('', '192.0.2.1')).status).toBe(401);
    expect((await ask('Bearer guess', '192.0.2.1')).status).toBe(401);
    const push = new WebSocket(`${loader.url.replace('http', 'ws')}/v1/live?avatar=ann`, {
      headers: { 'x-forwarded-for': '192.0.2.1' },
    });
    push.on('error', () => {});
    const [, answer] = await once(push, 'unexpected-response');
    expect(answer.statusCode).toBe(401);
    const refused = await loader.ask('POST', '/v1/segments?avatar=ann', {
      headers: { authorization: '', 'x-forwarded-for': '192.0.2.1' },
      body: 'x'.repeat(100_000),
    });
    expect(refused).toMatchObject({
      status: 429,
      body: { code: 'rate_limited', limit: 'ADDRESS_REQUESTS_PER_MINUTE' },
    });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await ask('', '192.0.2.2')).status).toBe(401);
    expect(await loader.metrics()).toMatch(/humancast_loader_limited_total{limit="ADDRESS_REQUESTS_PER_MINUTE".*} 1\n/);
  });

  it('count requests with an API key by the key, each for itself', async () => {
    const statuses: number[] = [];
    for (let i = 0; i < 20; i++) statuses.push((await ask(`Bearer ${key}`, `198.51.100.${i}`)).status);
    expect(statuses.slice(0, 10)).toEqual(Array<number>(10).fill(200));
    expect(statuses).toContain(429);
    expect((await ask(`Bearer ${other}`, '198.51.100.1')).status).toBe(200);
  });
});
