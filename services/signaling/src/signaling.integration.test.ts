import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger, loadConfig, signalingSettings, TrustedProxies } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventReader } from '../testing/event-reader.js';
import { FakeSender } from '../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../testing/start-test-signaling.js';
import { TestViewer } from '../testing/test-viewer.js';
import { startSignaling } from './index.js';

describe('the signaling service', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  describe('the console', () => {
    let folder: string;
    let signaling: TestSignaling;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'humancast-console-'));
      mkdirSync(join(folder, 'dist', 'assets'), { recursive: true });
      writeFileSync(join(folder, 'secret'), 'not for you');
      writeFileSync(join(folder, 'dist', 'index.html'), '<title>console</title>');
      writeFileSync(join(folder, 'dist', 'embed.html'), '<title>embed</title>');
      writeFileSync(join(folder, 'dist', 'assets', 'app-1a2b3c.js'), 'play()');
      writeFileSync(join(folder, 'dist', '.env'), 'not for you');
      signaling = await stack.signaling({ consoleDir: join(folder, 'dist') });
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    it('is served at the root with security headers', async () => {
      const page = await signaling.request('GET', '/?session=x&token=y', { auth: '' });
      expect(page.text).toContain('<title>console</title>');
      expect(page.headers.get('cache-control')).toBe('no-cache');
      expect(page.headers.get('content-security-policy')).toContain(`connect-src 'self' ws://127.0.0.1:`);
      expect(page.headers.get('referrer-policy')).toBe('no-referrer');
      expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    });

    it('may be framed by nobody else, and its /embed only by EMBED_ANCESTORS', async () => {
      const origins = { embedAncestors: ['https://shop.example', 'https://*.blog.example'] };
      const open = await stack.signaling({ consoleDir: join(folder, 'dist'), ...origins });
      const ancestors = async (at: TestSignaling, path: string) => {
        const { headers, text } = await at.request('GET', path, { auth: '' });
        return [
          /<title>(.*)</.exec(text)?.[1],
          /frame-ancestors ([^;]*)/.exec(headers.get('content-security-policy') ?? '')?.[1],
        ];
      };
      expect(await ancestors(signaling, '/embed?session=x&token=y')).toEqual(['embed', "'none'"]);
      expect(await ancestors(open, '/embed?session=x&token=y')).toEqual([
        'embed',
        'https://shop.example https://*.blog.example',
      ]);
      for (const path of ['/', '/?x=/embed', '/index.html', '/%65mbed']) {
        expect((await ancestors(open, path))[1]).toBe("'self'");
      }
    });

    it('has hashed files that are cached forever', async () => {
      const file = await signaling.request('GET', '/assets/app-1a2b3c.js', { auth: '' });
      expect(file.text).toBe('play()');
      expect(file.headers.get('cache-control')).toContain('immutable');
    });

    it.each([
      '/../secret',
      '/..%2fsecret',
      '/assets/..%2f..%2fsecret',
      '/%2e%2e/secret',
      '/.env',
      '/assets/\\..\\..\\secret',
    ])('discloses nothing else: %s', async (path) => {
      const reply = await rawGet(signaling.port, path);
      expect(reply).toMatch(/^HTTP\/1\.1 40[0-9] /);
      expect(reply).not.toContain('not for you');
    });

    it('is replaced by build instructions if it is not built', async () => {
      const bare = await stack.signaling({ consoleDir: join(folder, 'nothing') });
      const page = await bare.request('GET', '/', { auth: '' });
      expect(page.status).toBe(503);
      expect(page.text).toContain('npm run build');
    });
  });

  describe('other origins', () => {
    const preflight = { 'access-control-request-method': 'POST' };

    it('are allowed if listed', async () => {
      const signaling = await stack.signaling({ allowedOrigins: ['https://shop.example'] });
      const ask = (origin: string) =>
        signaling.request('OPTIONS', '/v1/sessions', { auth: '', headers: { origin, ...preflight } });
      const yes = await ask('https://shop.example');
      expect(yes.headers.get('access-control-allow-origin')).toBe('https://shop.example');
      expect(yes.headers.get('access-control-allow-headers')).toContain('Authorization');
      expect((await ask('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull();
      expect((await ask(signaling.url)).headers.get('access-control-allow-origin')).toBe(signaling.url);
    });

    it('are counted by X-Forwarded-For only behind a trusted proxy', async () => {
      const direct = await stack.signaling({ connectsPerMinute: 2 });
      const proxied = await stack.signaling({
        connectsPerMinute: 2,
        trustProxy: TrustedProxies.parse('true') as TrustedProxies,
      });
      const visit = (at: TestSignaling, address: string) =>
        TestViewer.connect(at, { headers: { 'x-forwarded-for': `203.0.113.1, ${address}` } });
      for (let i = 1; i <= 2; i++) (await visit(direct, `192.0.2.${i}`)).ws.close();
      for (let i = 1; i <= 3; i++) (await visit(proxied, `192.0.2.${i}`)).ws.close();
      expect(await TestViewer.rejected(direct, { 'x-forwarded-for': '192.0.2.9' })).toBe(429);
    });
  });

  it('answers unknown paths with a problem document', async () => {
    const signaling = await stack.signaling();
    const reply = await signaling.request('GET', '/v1/nothing');
    expect(reply).toMatchObject({ status: 404, body: { code: 'not_found', status: 404 } });
    expect(reply.headers.get('content-type')).toContain('application/problem+json');
  });

  it('stays ready without redis-media, reports it, and serves the page and viewers', async () => {
    const own = await TestStack.start();
    const signaling = await own.signaling();
    expect((await signaling.request('GET', '/healthz', { auth: '' })).status).toBe(200);
    expect((await signaling.request('GET', '/readyz', { auth: '' })).status).toBe(200);
    const session = await signaling.makeSession();
    await own.kill('media');
    await waitFor('the outage to be noticed', async () => (await signaling.request('GET', '/readyz')).body.without);
    expect(await signaling.request('GET', '/readyz')).toMatchObject({
      status: 200,
      body: { status: 'ok', without: 'redis-media is not reachable' },
    });
    expect((await fetch(`http://127.0.0.1:${signaling.metricsPort}/readyz`)).status).toBe(200);
    const viewer = await TestViewer.join(signaling, session);
    await viewer.received('joined');
    expect((await signaling.request('POST', `/v1/sessions/${session.id}/interrupt`)).status).toBe(202);
    viewer.ws.close();
    const create = await signaling.request('POST', '/v1/sessions', { body: { avatar: 'demo' } });
    expect(create).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect((await signaling.request('GET', '/healthz')).status).toBe(200);
    await own.stop();
  });

  it('survives an outage of redis-queue, as do its viewers', async () => {
    const own = await TestStack.start();
    const signaling = await own.signaling();
    const session = await signaling.makeSession();
    const viewer = await TestViewer.join(signaling, session);
    const reader = await EventReader.open(signaling, session.id);
    await own.kill('queue');
    await waitFor('not to be ready', async () => (await signaling.request('GET', '/readyz')).status === 503);
    viewer.send({ type: 'interrupt' });
    expect(await viewer.received('error')).toMatchObject({ code: 'unavailable' });
    const reply = await signaling.request('GET', `/v1/sessions/${session.id}`);
    expect(reply).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(reply.headers.get('retry-after')).toBe('2');
    await own.restartQueue();
    await waitFor('to be ready again', async () => (await signaling.request('GET', '/readyz')).status === 200);
    const sender = await FakeSender.start(own.queueUrl);
    await viewer.received('offer');
    await viewer.received('event', ({ event }) => event.type === 'session.hosted');
    await reader.received('session.hosted');
    expect(viewer.closed).toBeUndefined();
    await sender.stop();
    await own.stop();
  });

  it('stops in time while the databases are down', async () => {
    const own = await TestStack.start();
    const signaling = await own.signaling();
    await TestViewer.join(signaling, await signaling.makeSession());
    await Promise.all([own.kill('queue'), own.kill('media')]);
    await waitFor('not to be ready', async () => (await signaling.request('GET', '/readyz')).status === 503);
    const since = performance.now();
    await signaling.close();
    // The default of SHUTDOWN_TIMEOUT_MS, after which the process would be killed.
    expect(performance.now() - since).toBeLessThan(10_000);
    await own.stop();
  });

  it('close() disconnects everyone and may be called twice', async () => {
    const signaling = await stack.signaling();
    const session = await signaling.makeSession();
    const viewer = await TestViewer.join(signaling, session);
    const idle = await TestViewer.connect(signaling);
    const reader = await EventReader.open(signaling, session.id);
    await Promise.all([signaling.close(), signaling.close()]);
    expect(await viewer.closure()).toMatchObject({ code: 1012 });
    expect(await idle.closure()).toMatchObject({ code: 1012 });
    await waitFor('the stream to end', () => reader.ended);
    await expect(signaling.request('GET', '/healthz')).rejects.toThrow();
    const { id } = await (await stack.signaling()).makeSession();
    expect(id).toBeDefined();
  });

  it('does not start with TURN servers but no secret', async () => {
    const config = loadConfig(signalingSettings, { TOKEN_SECRET: 'secret-of-the-tests', TURN_URLS: 'turn:a.example' });
    await expect(startSignaling(config, createLogger('signaling', 'silent'))).rejects.toThrow(/^TURN_SECRET: not set/);
  });
});

/** Sends the path unchanged; fetch would normalize it. */
function rawGet(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    });
    socket.on('data', (data) => {
      text += data.toString();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}
