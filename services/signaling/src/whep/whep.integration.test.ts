import { SDP_LIMIT_BYTES } from '@humancast/protocol';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type Reply, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';

const OFFER = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=ice-ufrag:EsAw',
  'a=recvonly',
  '',
].join('\r\n');
const FRAGMENT = 'm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n';
const RESTART =
  'a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\nm=audio 9 X 0\r\na=mid:0\r\na=end-of-candidates\r\n';
const SDP = { 'content-type': 'application/sdp' };
const SDP_FRAGMENT = { 'content-type': 'application/trickle-ice-sdpfrag' };

describe('WHEP', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let other: TestSignaling;
  let sender: FakeSender;
  beforeAll(async () => {
    stack = await TestStack.start();
    [signaling, other] = await Promise.all([
      stack.signaling({ turnUrls: ['turn:a.example?transport=udp', 'turn:a.example?transport=tcp'], turnSecret: 'x' }),
      stack.signaling({ publicDemo: true }, { whepAnswerMs: 300 }),
    ]);
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
  });

  const post = (at: TestSignaling, path = '/whep/demo', options: Parameters<TestSignaling['request']>[2] = {}) =>
    at.request('POST', path, { body: OFFER, ...options, headers: { ...SDP, ...options.headers } });

  async function playing(at = signaling) {
    const reply = await post(at);
    expect(reply.status, reply.text).toBe(201);
    return { resource: resourceOf(reply), etag: reply.headers.get('etag') ?? '', ...whoIs(reply) };
  }
  /** @returns The path of the resource, resolved against the request's as every client does (RFC 9110 §10.2.2). */
  const resourceOf = (reply: Reply) =>
    new URL(reply.headers.get('location') ?? '', `${signaling.url}/whep/demo`).pathname;
  const whoIs = (reply: Reply) => {
    const [body = ''] = resourceOf(reply).replace('/whep/resource/', '').split('.');
    return JSON.parse(Buffer.from(body, 'base64url').toString()) as { session: string; viewer: string };
  };

  it('answers an offer', async () => {
    const reply = await post(signaling, '/whep/demo', { headers: { origin: signaling.url } });
    expect(reply.status).toBe(201);
    expect(reply.headers.get('content-type')).toBe('application/sdp');
    expect(reply.text).toMatch(/^v=0/);
    expect(reply.headers.get('etag')).toMatch(/^"[\w-]+"$/);
    expect(reply.headers.get('link')).toMatch(
      /^<turn:a\.example\?transport=udp>; rel="ice-server"; username="\d+:vw_[\w-]+"; credential="[\w+/=]+"; credential-type="password", </,
    );
    expect(reply.headers.get('access-control-expose-headers')).toMatch(/ETag.*Link.*Location/);
    const location = reply.headers.get('location') ?? '';
    expect(new URL(location, 'https://proxy.example/live/whep/demo').pathname).toMatch(/^\/live\/whep\/resource\/./);
    const { session, viewer } = whoIs(reply);
    expect(await sender.viewer(session, viewer)).toMatchObject({ offer: OFFER });
  });

  it('accepts a PATCH with candidates at any process, renews the TURN credentials, and sends nothing to the host', async () => {
    const { resource, etag, viewer } = await playing();
    const patch = (ifMatch: string) =>
      other.request('PATCH', resource, { auth: '', body: FRAGMENT, headers: { ...SDP_FRAGMENT, 'if-match': ifMatch } });
    const reply = await patch(etag);
    expect(reply.status).toBe(204);
    expect(reply.headers.get('etag')).toBeNull();
    expect(reply.headers.get('link')).toBeNull();
    expect((await patch('*')).status).toBe(204);
    const withTurn = await signaling.request('PATCH', resource, {
      auth: '',
      body: FRAGMENT,
      headers: { ...SDP_FRAGMENT, 'if-match': etag },
    });
    expect(withTurn.headers.get('link')).toMatch(new RegExp(`rel="ice-server"; username="\\d+:${viewer}"`));
    expect(sender.mail.filter((mail) => 'viewer' in mail && mail.viewer === viewer)).toEqual([]);
  });

  it('rejects a PATCH that is not for this ICE session, or malformed', async () => {
    const { resource, etag } = await playing();
    const patch = (headers: Record<string, string>, body = FRAGMENT) =>
      signaling.request('PATCH', resource, { body, headers: { ...SDP_FRAGMENT, ...headers } });
    expect((await patch({})).status).toBe(428);
    expect((await patch({ 'if-match': '"old"' })).status).toBe(412);
    expect((await patch({ 'if-match': etag, 'content-type': 'text/plain' })).status).toBe(415);
    expect((await patch({ 'if-match': etag }, 'hello')).status).toBe(400);
    expect((await patch({ 'if-match': '*' }, RESTART.replace(/a=ice-pwd.*\r\n/, ''))).status).toBe(400);
    expect((await patch({ 'if-match': '*' }, RESTART.replace(/(a=ice-pwd:).*/, '$1short'))).status).toBe(400);
    expect((await patch({ 'if-match': etag })).status).toBe(204);
  });

  it('restarts ICE at any process, after which only the new ICE session is accepted', async () => {
    const { resource, etag, session, viewer } = await playing();
    const patch = (at: TestSignaling, ifMatch: string, body: string) =>
      at.request('PATCH', resource, { auth: '', body, headers: { ...SDP_FRAGMENT, 'if-match': ifMatch } });
    const restarted = await patch(other, '*', RESTART);
    expect(restarted.status, restarted.text).toBe(200);
    expect(restarted.headers.get('content-type')).toBe('application/trickle-ice-sdpfrag');
    expect(restarted.text).toContain('a=ice-ufrag:to-ysXw');
    const next = restarted.headers.get('etag') ?? '';
    expect(next).toMatch(/^"[\w.-]+"$/);
    expect(next).not.toBe(etag);
    const { ice, connection } = await sender.received('viewer.restart', (mail) => mail.viewer === viewer);
    expect(ice).toEqual({ usernameFragment: 'ysXw', password: 'vw5LmwG4y/e6dPP/zAP9Gp5k' });
    expect(connection).toBe(etag.replaceAll('"', ''));
    const candidates = FRAGMENT.replace('EsAw', 'ysXw');
    expect((await patch(signaling, next, candidates)).status).toBe(204);
    expect((await patch(signaling, etag, candidates)).status).toBe(412);
    expect((await signaling.request('DELETE', resource)).status).toBe(200);
    expect((await sender.registry.get(session)).state).toBe('ended');
  });

  it('restarts ICE only once if two restarts of one ICE session arrive simultaneously', async () => {
    const { resource, etag } = await playing();
    const restart = (ufrag: string) =>
      signaling.request('PATCH', resource, {
        body: RESTART.replaceAll('ysXw', ufrag),
        headers: { ...SDP_FRAGMENT, 'if-match': etag },
      });
    const replies = await Promise.all(['aaaa', 'bbbb', 'cccc'].map(restart));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
  });

  it('ends the session that was created for the player when it leaves', async () => {
    const { resource, session } = await playing();
    expect((await other.request('GET', resource, { auth: '' })).status).toBe(204);
    expect((await other.request('DELETE', resource, { auth: '' })).status).toBe(200);
    expect((await sender.registry.get(session)).state).toBe('ended');
    await sender.received('session.end', (mail) => mail.session === session);
    for (const method of ['DELETE', 'GET']) expect((await signaling.request(method, resource)).status).toBe(404);
  });

  it('serves an existing session to a holder of its token, and keeps it when the player leaves', async () => {
    const { id, token } = await signaling.makeSession();
    const reply = await post(signaling, `/whep/demo?session=${id}`, { auth: token });
    expect(reply.status).toBe(201);
    expect(whoIs(reply).session).toBe(id);
    await signaling.request('DELETE', resourceOf(reply), { auth: '' });
    expect((await sender.registry.get(id)).state).toBe('hosted');
    expect(await sender.registry.viewers(id)).toEqual([]);
    await stack.addAvatar('other');
    expect((await post(signaling, `/whep/other?session=${id}`)).status).toBe(404);
  });

  it('admits only callers with permission', async () => {
    const { id } = await signaling.makeSession();
    const foreign = (await signaling.makeSession()).token;
    const unknown = await post(signaling, '/whep/demo', { auth: '' });
    expect(unknown.status).toBe(401);
    expect(unknown.headers.get('www-authenticate')).toBe('Bearer');
    expect((await post(signaling, '/whep/demo', { auth: foreign })).status).toBe(403);
    expect((await post(signaling, `/whep/demo?session=${id}`, { auth: foreign })).status).toBe(403);
    expect((await post(other, '/whep/demo', { auth: '' })).status).toBe(201);
    expect((await post(other, `/whep/demo?session=${id}`, { auth: '' })).status).toBe(401);
  });

  it('rejects bodies that are not an offer', async () => {
    const type = await post(signaling, '/whep/demo', { headers: { 'content-type': 'text/plain' } });
    expect(type).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } });
    expect(type.headers.get('accept-post')).toBe('application/sdp');
    for (const body of ['', 'hello', OFFER.replace('a=ice-ufrag:EsAw\r\n', '')]) {
      expect(await post(signaling, '/whep/demo', { body })).toMatchObject({ status: 400, body: { code: 'bad_sdp' } });
    }
    expect((await post(signaling, '/whep/demo', { body: `${OFFER}${'a=x\r\n'.repeat(20_000)}` })).status).toBe(413);
    expect((await post(signaling, '/whep/nobody')).status).toBe(404);
  });

  it('accepts offers up to the size limit of the WebSocket', async () => {
    const offer = (bytes: number) => `${OFFER}a=${'x'.repeat(bytes - OFFER.length - 4)}\r\n`;
    expect((await post(signaling, '/whep/demo', { body: offer(SDP_LIMIT_BYTES) })).status).toBe(201);
    expect(await post(signaling, '/whep/demo', { body: offer(SDP_LIMIT_BYTES + 1) })).toMatchObject({
      status: 413,
      body: { code: 'message_too_large' },
    });
  });

  it('answers with Retry-After while the avatar has no idle clip', async () => {
    await stack.avatars.ensure('new-one');
    const reply = await post(signaling, '/whep/new-one');
    expect(reply).toMatchObject({ status: 409, body: { code: 'avatar_has_no_idle' } });
    expect(reply.headers.get('retry-after')).toBe('1');
  });

  it('answers OPTIONS, GET and unsupported methods', async () => {
    const probe = await signaling.request('OPTIONS', '/whep/demo', { auth: '' });
    expect(probe.status).toBe(200);
    expect(probe.headers.get('accept-post')).toBe('application/sdp');
    expect(probe.headers.get('link')).toBeNull();
    expect((await signaling.request('OPTIONS', '/whep/demo')).headers.get('link')).toContain('rel="ice-server"');
    const preflight = await signaling.request('OPTIONS', '/whep/demo', {
      auth: '',
      headers: { origin: signaling.url, 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(200);
    expect(preflight.headers.get('accept-post')).toBe('application/sdp');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('PATCH');
    expect((await signaling.request('GET', '/whep/demo', { auth: '' })).status).toBe(204);
    expect((await signaling.request('PUT', '/whep/demo')).status).toBe(405);
  });

  it('rejects resources that it did not sign', async () => {
    const { resource } = await playing();
    const path = resource.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'));
    for (const forged of [path, '/whep/resource/x', '/whep/resource/x.y']) {
      expect((await signaling.request('DELETE', forged)).status).toBe(404);
    }
  });

  it('removes a player whose connection the host has closed', async () => {
    const { session, viewer } = await playing();
    const record = await sender.viewer(session, viewer);
    const of = { session, viewer, connection: 'connection-1', epoch: 1 };
    await sender.send(record, { type: 'viewer.closed', ...of, reason: 'ice-failed' });
    await waitFor('the player to be gone', async () => (await sender.registry.viewers(session)).length === 0);
    await sender.received('viewers.changed', (mail) => mail.session === session);
  });

  describe('with a host that does not answer', () => {
    it.each(['no_common_codec', 'bad_sdp'] as const)(
      "returns the host's error (%s) and leaves nothing behind",
      async (code) => {
        const own = await TestStack.start();
        const at = await own.signaling();
        const rejecting = await FakeSender.start(own.queueUrl, {
          serve: async (self, session, viewer, epoch) => {
            const of = { session, viewer: viewer.viewer, epoch };
            await self.send(viewer, { type: 'viewer.error', ...of, code, message: 'not this' });
          },
        });
        expect(await post(at)).toMatchObject({
          status: code === 'bad_sdp' ? 400 : 406,
          body: { code, detail: 'not this' },
        });
        expect((await at.request('GET', '/v1/sessions')).body.sessions).toEqual([]);
        await rejecting.stop();
        await own.stop();
      },
    );

    it('keeps the ICE session if a restart is not answered, so that the player can retry', async () => {
      const own = await TestStack.start();
      const at = await own.signaling({}, { whepAnswerMs: 300 });
      const silent = await FakeSender.start(own.queueUrl, { restarts: false });
      const answer = await post(at);
      const restart = () =>
        at.request('PATCH', resourceOf(answer), {
          body: RESTART,
          headers: { ...SDP_FRAGMENT, 'if-match': answer.headers.get('etag') ?? '' },
        });
      const reply = await restart();
      expect(reply).toMatchObject({ status: 503, body: { code: 'unavailable' } });
      expect(reply.headers.get('retry-after')).toBe('2');
      expect((await restart()).status).toBe(503);
      await silent.stop();
      await own.stop();
    });

    it('gives up after the time limit', async () => {
      const own = await TestStack.start();
      const at = await own.signaling({}, { whepAnswerMs: 50 });
      const reply = await post(at);
      expect(reply).toMatchObject({ status: 503, body: { code: 'no_capacity' } });
      expect(reply.headers.get('retry-after')).toBe('2');
      expect((await at.request('GET', '/v1/sessions')).body.sessions).toEqual([]);
      const { id } = await at.makeSession();
      await post(at, `/whep/demo?session=${id}`);
      expect((await at.request('GET', `/v1/sessions/${id}`)).body).toMatchObject({ state: 'queued', viewers: [] });
      await own.stop();
    });
  });
});
