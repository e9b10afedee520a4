import { request as httpRequest } from 'node:http';
import { TrustedProxies } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';
import { DemoSessions } from './demo-sessions.js';

describe('DemoSessions', () => {
  it("limits each network's sessions, counts those being created, and frees ended ones", async () => {
    const living: { id: string }[] = [];
    const demos = new DemoSessions({ list: async () => living as never }, { demoSessionsPerAddress: 2 });
    let made = 0;
    const make = (network: string) =>
      demos.make(network, async () => {
        const session = { id: `ses_${made++}` };
        living.push(session);
        return session;
      });
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => make('192.0.2.1')));
    // Concurrent requests may get fewer sessions than the limit, never more.
    expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(2);
    while (living.length < 2) await make('192.0.2.1');
    await expect(make('192.0.2.1')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterSeconds: 30,
      extra: { limit: 'DEMO_SESSIONS_PER_ADDRESS' },
    });
    await make('192.0.2.2');
    living.shift();
    await make('192.0.2.1');
    await expect(make('192.0.2.1')).rejects.toMatchObject({ code: 'rate_limited' });
  });

  it('does not count a session that could not be created', async () => {
    const demos = new DemoSessions({ list: async () => [] }, { demoSessionsPerAddress: 1 });
    for (let i = 0; i < 3; i++) {
      await expect(demos.make('192.0.2.1', () => Promise.reject(new Error('full')))).rejects.toThrow('full');
    }
    await expect(demos.make('192.0.2.1', async () => ({ id: 'ses_1' }))).resolves.toEqual({ id: 'ses_1' });
  });
});

describe('demo mode', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  const visit = (at: TestSignaling, headers: Record<string, string> = {}) =>
    at.request('POST', '/v1/sessions', { auth: '', body: { avatar: 'demo' }, headers });

  it('is off if others can reach the service, unless PUBLIC_DEMO_PUBLISHED is set', async () => {
    const published = { publicDemo: true, publishAddress: '0.0.0.0' };
    const once = await stack.signaling(published);
    expect(await visit(once)).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
    expect((await once.request('OPTIONS', '/whep/demo', { auth: '' })).headers.get('link')).toBeNull();
    expect((await once.request('GET', '/v1/avatars', { auth: '' })).status).toBe(401);
    expect((await visit(await stack.signaling({ ...published, publicDemoPublished: true }))).status).toBe(201);
    const proxied = await stack.signaling({
      publicDemo: true,
      trustProxy: TrustedProxies.parse('1') as TrustedProxies,
    });
    expect((await visit(proxied)).status).toBe(401);
  });

  it("on loopback answers only under this machine's own names, over HTTP and WebSocket", async () => {
    const local = await stack.signaling({ publicDemo: true, allowedOrigins: ['https://demo.example'] });
    for (const host of [
      '127.0.0.1',
      'localhost:8080',
      '[::1]:8080',
      'signaling:8080',
      'a.localhost',
      '172.17.0.2:8080',
    ]) {
      expect(await statusWithHost(local, host), host).toBe(200);
    }
    expect(await statusWithHost(local, 'demo.example')).toBe(200);
    for (const host of [
      'evil.example',
      'evil.example:8080',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      'evil.',
    ]) {
      expect(await statusWithHost(local, host), host).toBe(421);
    }
    expect(await TestViewer.rejected(local, { host: 'evil.example', origin: 'http://evil.example' })).toBe(421);
    const closed = await stack.signaling({ publicDemo: false });
    expect(await statusWithHost(closed, 'avatar.example')).toBe(200);
    const published = await stack.signaling({ publicDemo: true, publicDemoPublished: true });
    expect(await statusWithHost(published, 'avatar.example')).toBe(200);
  });

  it('limits the demo sessions of one address, over REST and WHEP together', async () => {
    const trustProxy = TrustedProxies.parse('loopback') as TrustedProxies;
    const open = { publicDemo: true, publicDemoPublished: true, demoSessionLimit: 100 };
    const shared = await stack.signaling({ ...open, trustProxy, demoSessionsPerAddress: 2 });
    const from = (address: string) => ({ 'x-forwarded-for': address });
    const first = await visit(shared, from('192.0.2.1'));
    expect([first.status, (await visit(shared, from('192.0.2.1'))).status]).toEqual([201, 201]);
    const rejected = await visit(shared, from('192.0.2.1'));
    expect(rejected).toMatchObject({ status: 429, body: { limit: 'DEMO_SESSIONS_PER_ADDRESS' } });
    expect(rejected.headers.get('retry-after')).toBe('30');
    const offer = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n';
    const headers = { ...from('192.0.2.1'), 'content-type': 'application/sdp' };
    const whep = await shared.request('POST', '/whep/demo', { auth: '', body: offer, headers });
    expect(whep).toMatchObject({ status: 429, body: { limit: 'DEMO_SESSIONS_PER_ADDRESS' } });
    expect((await visit(shared, from('192.0.2.2'))).status).toBe(201);
    await shared.request('DELETE', `/v1/sessions/${first.body.id}`, { auth: first.body.token });
    expect((await visit(shared, from('192.0.2.1'))).status).toBe(201);
  });

  it('ends demo sessions that nobody joins or that last too long', async () => {
    const own = await TestStack.start();
    const quick = { demoJoinTimeoutSeconds: 0.2, demoMaxSeconds: 1 };
    const at = await own.signaling({ publicDemo: true, ...quick }, { sessionSweepMs: 50 });
    const producers = await at.makeSession();
    const unjoined = (await visit(at)).body;
    const stateOf = async (id: string) => (await at.request('GET', `/v1/sessions/${id}`)).body.state;
    await waitFor('the unjoined one to end', async () => (await stateOf(unjoined.id)) === 'ended');
    const sender = await FakeSender.start(own.queueUrl);
    const watched = (await visit(at)).body;
    const viewer = await TestViewer.join(at, watched);
    await viewer.received('offer');
    const { event } = await viewer.received('event', (message) => message.event.type === 'session.ended');
    expect(event).toMatchObject({ type: 'session.ended', reason: 'demo-over' });
    await sender.received('session.end', (mail) => mail.session === watched.id);
    expect(await stateOf(producers.id)).toBe('new');
    await sender.stop();
    await own.stop();
  });

  /** @returns The answer of GET / to a `Host` header, which fetch would set itself. */
  function statusWithHost(at: TestSignaling, host: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const ask = httpRequest({ host: '127.0.0.1', port: at.port, path: '/healthz', headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      ask.on('error', reject).end();
    });
  }
});
