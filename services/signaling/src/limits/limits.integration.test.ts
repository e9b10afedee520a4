import { TrustedProxies } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type Reply, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

/** One trusted proxy, so that a test can come from any address. */
const trustProxy = TrustedProxies.parse('loopback') as TrustedProxies;
const from = (address: string) => ({ 'x-forwarded-for': address });

describe('limits of signaling', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  const rejection = ({ status, headers, body }: Reply) => ({
    status,
    code: body?.code,
    limit: body?.limit,
    retryAfter: Number(headers.get('retry-after')) > 0,
  });
  const limited = (limit: string) => ({ status: 429, code: 'rate_limited', limit, retryAfter: true });

  it('count requests without a valid API key by address', async () => {
    const signaling = await stack.signaling({ trustProxy, addressRequestsPerMinute: 3 });
    const get = (address: string, auth: string) =>
      signaling.request('GET', '/v1/sessions', { auth, headers: from(address) });
    expect((await get('192.0.2.1', '')).status).toBe(401);
    expect((await get('192.0.2.1', 'guess-one')).status).toBe(401);
    expect((await get('192.0.2.1', 'guess-two')).status).toBe(401);
    expect(rejection(await get('192.0.2.1', 'guess-three'))).toEqual(limited('ADDRESS_REQUESTS_PER_MINUTE'));
    // Pages and unknown paths cost something, too.
    const page = await signaling.request('GET', '/nothing', { auth: '', headers: from('192.0.2.1') });
    expect(page.status).toBe(429);
    expect((await get('192.0.2.2', '')).status).toBe(401);
    const own = await signaling.request('GET', '/v1/sessions', { headers: from('192.0.2.1') });
    expect(own.status).toBe(200);
    expect(await signaling.metrics()).toMatch(/limited_total{limit="ADDRESS_REQUESTS_PER_MINUTE".*} 2\n/);
  });

  it('count a whole IPv6 /64 as one address', async () => {
    const signaling = await stack.signaling({ trustProxy, addressRequestsPerMinute: 2 });
    const get = (address: string) => signaling.request('GET', '/nothing', { auth: '', headers: from(address) });
    expect([(await get('2001:db8::1')).status, (await get('2001:db8::2')).status]).toEqual([404, 404]);
    expect([(await get('2001:db8::3')).status, (await get('2001:db8:0:1::3')).status]).toEqual([429, 404]);
  });

  it('count requests with an API key by key, from any address', async () => {
    const signaling = await stack.signaling({ trustProxy, keyRequestsPerSecond: 1 });
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const reply = await signaling.request('GET', '/v1/sessions', { headers: from(`192.0.2.${i}`) });
      statuses.push(reply.status);
      if (reply.status === 429) expect(rejection(reply)).toEqual(limited('KEY_REQUESTS_PER_SECOND'));
    }
    expect(statuses.slice(0, 10)).toEqual(Array<number>(10).fill(200));
    expect(statuses).toContain(429);
    expect((await signaling.request('GET', '/nothing', { auth: '' })).status).toBe(404);
  });

  it('count requests with tokens of the same session together', async () => {
    const signaling = await stack.signaling({ trustProxy, sessionRequestsPerSecond: 1 });
    const [one, other] = [await signaling.makeSession(), await signaling.makeSession()];
    const get = ({ id, token }: { id: string; token: string }, address: string) =>
      signaling.request('GET', `/v1/sessions/${id}`, { auth: token, headers: from(address) });
    const replies: Reply[] = [];
    for (let i = 0; i < 12; i++) replies.push(await get(one, `192.0.2.${i}`));
    expect(replies[0]?.status).toBe(200);
    const rejected = replies.find(({ status }) => status === 429);
    if (!rejected) throw new Error('nothing was rejected');
    expect(rejection(rejected)).toEqual(limited('SESSION_REQUESTS_PER_SECOND'));
    expect((await get(other, '192.0.2.1')).status).toBe(200);
  });

  it("count interruptions by a session's viewers together, without its producer's", async () => {
    const signaling = await stack.signaling({ interruptsPerMinute: 2 });
    const sender = await FakeSender.start(stack.queueUrl);
    const { id, token } = await signaling.makeSession();
    const viewer = await TestViewer.join(signaling, { id, token });
    const interrupt = (auth?: string) =>
      signaling.request('POST', `/v1/sessions/${id}/interrupt`, auth === undefined ? {} : { auth });
    expect((await interrupt(token)).status).toBe(202);
    viewer.send({ type: 'interrupt' });
    viewer.send({ type: 'ping' });
    await viewer.received('pong');
    expect(rejection(await interrupt(token))).toEqual(limited('INTERRUPTS_PER_MINUTE'));
    viewer.send({ type: 'interrupt' });
    expect(await viewer.received('error')).toMatchObject({ code: 'rate_limited' });
    for (let i = 0; i < 4; i++) expect((await interrupt()).status).toBe(202);
    expect(viewer.closed).toBeUndefined();
    viewer.ws.close();
    await sender.stop();
  });

  it("count an address's open WebSockets", async () => {
    const signaling = await stack.signaling({ trustProxy, signalConnectionsPerAddress: 2 });
    const open = (address: string) => TestViewer.connect(signaling, { headers: from(address) });
    const first = await open('192.0.2.1');
    await open('192.0.2.1');
    expect(await TestViewer.rejected(signaling, from('192.0.2.1'))).toBe(429);
    (await open('192.0.2.2')).ws.close();
    first.ws.terminate();
    await waitFor('capacity', async () => {
      const attempt = await open('192.0.2.1');
      return attempt.closed === undefined;
    });
  });

  it('allow 50 viewers behind one address to open the page, join and reconnect', async () => {
    const signaling = await stack.signaling({
      trustProxy,
      turnUrls: ['turn:turn.example'],
      turnSecret: 'x'.repeat(16),
    });
    const visitors = Array.from({ length: 50 }, async () => {
      const session = await signaling.makeSession();
      for (let i = 0; i < 10; i++) {
        const page = await signaling.request('GET', '/nothing', { auth: '', headers: from('192.0.2.1') });
        expect(page.status).toBe(404);
      }
      for (let i = 0; i < 3; i++) {
        const viewer = await TestViewer.connect(signaling, { headers: from('192.0.2.1') });
        viewer.send({ type: 'join', session: session.id, token: session.token });
        await viewer.received('joined');
        viewer.send({ type: 'leave' });
        await viewer.closure();
      }
    });
    await Promise.all(visitors);
    expect(await signaling.metrics()).not.toContain('limited_total{');
  });
});
