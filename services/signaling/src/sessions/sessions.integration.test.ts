import { newId, signToken } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { API_KEY, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

describe('REST API of sessions', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let other: TestSignaling;
  let sender: FakeSender;
  beforeAll(async () => {
    stack = await TestStack.start();
    [signaling, other] = await Promise.all([stack.signaling(), stack.signaling({ publicDemo: true })]);
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
  });

  /** @returns A session with a viewer and a host. */
  async function hosted() {
    const session = await signaling.makeSession();
    const viewer = await TestViewer.join(signaling, session);
    await viewer.received('offer');
    return { ...session, path: `/v1/sessions/${session.id}`, viewer };
  }

  describe('creating a session', () => {
    it('returns everything that a viewer needs to a producer', async () => {
      const { status, headers, body } = await signaling.request('POST', '/v1/sessions', { body: { avatar: 'demo' } });
      expect(status).toBe(201);
      expect(headers.get('location')).toBe(`sessions/${body.id}`);
      expect(body).toMatchObject({ avatar: 'demo', scope: 'view', iceServers: [], relayOnly: false, turn: 0 });
      expect(Date.parse(body.expiresAt) - Date.now()).toBeGreaterThan(3_500_000);
      const viewer = await TestViewer.join({ signalUrl: new URL(body.signalUrl, other.signalUrl).href }, body);
      await viewer.received('offer');
      viewer.ws.close();
    });

    it("creates one session per Idempotency-Key of an API key, and ignores a visitor's", async () => {
      const make = (key: string, body: object = { avatar: 'demo' }, at = signaling, auth = API_KEY) =>
        at.request('POST', '/v1/sessions', { auth, body, headers: { 'idempotency-key': key } });
      const first = await make('one');
      expect(first.status).toBe(201);
      const again = await make('one', { avatar: 'demo' }, other);
      expect(again).toMatchObject({ status: 201, body: { id: first.body.id } });
      expect((await make('two')).body.id).not.toBe(first.body.id);
      expect(await make('one', { avatar: 'demo', wait: false })).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      });
      const [a, b] = [
        await make('one', { avatar: 'demo' }, other, ''),
        await make('one', { avatar: 'demo' }, other, ''),
      ];
      expect(new Set([a.body.id, b.body.id, first.body.id]).size).toBe(3);
      for (const { id } of [a.body, b.body]) await signaling.request('DELETE', `/v1/sessions/${id}`);
    });

    it.each([
      [{}, 'bad_request', 400],
      [{ avatar: 'No Such Name' }, 'bad_request', 400],
      [{ avatar: 'demo', colour: 'red' }, 'bad_request', 400],
      [{ avatar: 'nobody' }, 'avatar_not_found', 404],
    ])('rejects %j', async (body, code, status) => {
      expect(await signaling.request('POST', '/v1/sessions', { body })).toMatchObject({ status, body: { code } });
    });

    it('rejects bodies that are not JSON or too large', async () => {
      const post = (body: string, type: string) =>
        signaling.request('POST', '/v1/sessions', { body, headers: { 'content-type': type } });
      expect((await post('{"avatar":', 'application/json')).body.code).toBe('bad_request');
      expect((await post('avatar=demo', 'application/x-www-form-urlencoded')).body.code).toBe('unsupported_media_type');
      const large = await post(JSON.stringify({ avatar: 'x'.repeat(70_000) }), 'application/json');
      expect(large).toMatchObject({ status: 413, body: { code: 'message_too_large' } });
      expect(large.headers.get('content-type')).toContain('application/problem+json');
    });

    it('answers with Retry-After while the avatar has no idle clip', async () => {
      await stack.avatars.ensure('new-one');
      const reply = await signaling.request('POST', '/v1/sessions', { body: { avatar: 'new-one' } });
      expect(reply).toMatchObject({ status: 409, body: { code: 'avatar_has_no_idle' } });
      expect(reply.headers.get('retry-after')).toBe('1');
    });

    it('rejects sessions beyond the limits', async () => {
      const sessions = (await signaling.request('GET', '/v1/sessions')).body.sessions.length;
      const full = await stack.signaling({ sessionLimit: sessions + 1, publicDemo: true, demoSessionLimit: 1 });
      const make = (auth: string) => full.request('POST', '/v1/sessions', { auth, body: { avatar: 'demo' } });
      expect((await make('')).status).toBe(201);
      expect(await make(API_KEY)).toMatchObject({ status: 503, body: { code: 'session_limit' } });
      const roomy = await stack.signaling({ publicDemo: true, demoSessionLimit: 1, connectsPerMinute: 2 });
      const visit = () => roomy.request('POST', '/v1/sessions', { auth: '', body: { avatar: 'demo' } });
      expect(await visit()).toMatchObject({ status: 503, body: { code: 'session_limit' } });
      await visit();
      expect(await visit()).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
    });

    it('is open to visitors only in demo mode, with control of their own session', async () => {
      const visit = (at: TestSignaling) => at.request('POST', '/v1/sessions', { auth: '', body: { avatar: 'demo' } });
      expect(await visit(signaling)).toMatchObject({ status: 401, body: { code: 'unauthorized' } });
      const { body: session } = await visit(other);
      expect(session.scope).toBe('control');
      const segment = await stack.addSegment({ source: 'library' });
      const path = `/v1/sessions/${session.id}`;
      const speak = await other.request('POST', `${path}/speak`, {
        auth: session.token,
        body: { segments: [segment] },
      });
      expect(speak.status).toBe(202);
      expect((await other.request('GET', path)).body.demo).toBe(true);
      expect((await other.request('DELETE', path, { auth: session.token })).status).toBe(204);
    });
  });

  describe('permissions', () => {
    const soon = () => Math.floor(Date.now() / 1000) + 60;
    const endpoints: [method: string, path: string, least: 'view' | 'control' | 'key', ok: number][] = [
      ['GET', '/v1/sessions', 'key', 200],
      ['GET', '/v1/senders', 'key', 200],
      ['GET', '/v1/avatars', 'key', 200],
      ['GET', '/v1/sessions/:id', 'view', 200],
      ['GET', '/v1/sessions/:id/segments', 'view', 200],
      ['POST', '/v1/sessions/:id/interrupt', 'view', 202],
      ['POST', '/v1/sessions/:id/speak', 'control', 400],
      ['DELETE', '/v1/sessions/:id', 'control', 204],
    ];

    it.each(endpoints)('%s %s admits only callers with permission (%s)', async (method, path, least, ok) => {
      const { id } = await signaling.makeSession();
      const token = (scope: 'view' | 'control', more = {}) =>
        signToken({ sid: id, exp: soon(), scope, ...more }, ['secret-of-the-tests']);
      const status = async (auth: string) =>
        (await signaling.request(method, path.replace(':id', id), { auth })).status;
      expect(await status('')).toBe(401);
      expect(await status('wrong')).toBe(401);
      expect(await status(await token('control', { exp: 1 }))).toBe(401);
      expect(await status(await token('control', { sid: newId('ses') }))).toBe(403);
      expect(await status(await token('view'))).toBe(least === 'view' ? ok : 403);
      if (least !== 'control') expect(await status(await token('control'))).toBe(least === 'view' ? ok : 403);
      expect(await status(API_KEY)).toBe(ok);
    });
  });

  describe('speak', () => {
    it('queues segments in order and announces them to the host', async () => {
      const session = await hosted();
      const [a, b] = [await stack.addSegment(), await stack.addSegment({ state: 'open' })];
      const { status, body } = await other.request('POST', `${session.path}/speak`, { body: { segments: [a, b, a] } });
      expect(status).toBe(202);
      const queued = [a, b, a].map((segment, i) => ({ seq: i + 1, segment }));
      expect(body).toEqual({ queued, turn: 0 });
      await waitFor('the jobs', () =>
        sender.segmentJobs.some(({ session: id, seq }) => id === session.id && seq === 3),
      );
      expect(sender.segmentJobs.filter((job) => job.session === session.id)).toEqual(
        queued.map((item) => ({ session: session.id, ...item })),
      );
      expect((await signaling.request('GET', session.path)).body.queue).toEqual(queued);
      session.viewer.ws.close();
    });

    it('keeps the queue for the first host if there is none yet', async () => {
      const session = await signaling.makeSession();
      const segments = [await stack.addSegment()];
      await signaling.request('POST', `/v1/sessions/${session.id}/speak`, { body: { segments } });
      expect(await sender.registry.queue(session.id)).toEqual([{ seq: 1, segment: segments[0] }]);
    });

    it('queues once per Idempotency-Key, even if the answer was lost while Redis stalled', async () => {
      const session = await hosted();
      const segments = [await stack.addSegment()];
      const headers = { 'idempotency-key': '"4f7a0d0e"' };
      const speak = (body: object, at = signaling) => at.request('POST', `${session.path}/speak`, { headers, body });
      // Longer than a caller waits: it is told to retry, and the request is executed anyway.
      await stack.queue.call('CLIENT', 'PAUSE', '5600', 'WRITE');
      expect(await speak({ segments })).toMatchObject({ status: 503, body: { code: 'unavailable' } });
      const queued = [{ seq: 1, segment: segments[0] }];
      expect(await speak({ segments }, other)).toMatchObject({ status: 202, body: { queued } });
      expect(await speak({ segments })).toMatchObject({ status: 202, body: { queued } });
      expect(await sender.registry.queue(session.id)).toEqual(queued);
      // The announcement failed with the first answer; the retry repeated it.
      await waitFor('the job', () => sender.segmentJobs.some((job) => job.session === session.id));
      expect(await speak({ segments, interrupt: true })).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      });
      session.viewer.ws.close();
    }, 30_000);

    it('rejects a malformed Idempotency-Key', async () => {
      const session = await signaling.makeSession();
      for (const key of ['', 'a b', 'x'.repeat(129)]) {
        const headers = { 'idempotency-key': key };
        const reply = await signaling.request('POST', `/v1/sessions/${session.id}/interrupt`, { headers });
        expect(reply).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      }
    });

    it('with interrupt ends earlier segments and keeps its own', async () => {
      const session = await hosted();
      const segments = [await stack.addSegment()];
      await signaling.request('POST', `${session.path}/speak`, { body: { segments } });
      await signaling.request('POST', `${session.path}/speak`, { body: { segments, interrupt: true } });
      const { seq } = await sender.received('session.interrupt', (mail) => mail.session === session.id);
      expect(seq).toBe(1);
      session.viewer.ws.close();
    });

    it('renews the time to live of queued segments', async () => {
      const session = await signaling.makeSession();
      const segment = await stack.addSegment();
      const key = `hc:{m:${segment}}:manifest`;
      await stack.media.expire(key, 10);
      await signaling.request('POST', `/v1/sessions/${session.id}/speak`, { body: { segments: [segment] } });
      expect(await stack.media.ttl(key)).toBeGreaterThan(500);
    });

    it('rejects unusable segments and then queues none', async () => {
      const session = await signaling.makeSession();
      await stack.addAvatar('other');
      const good = await stack.addSegment();
      const failure = { code: 'media_corrupt', message: 'no video after second 3' };
      const bad: [string, string, number][] = [
        [newId('seg'), 'segment_not_found', 404],
        [await stack.addSegment({ avatar: 'other' }), 'segment_wrong_avatar', 409],
        [await stack.addSegment({ state: 'failed', failure }), 'segment_not_ready', 409],
      ];
      const speak = (segments: unknown) =>
        signaling.request('POST', `/v1/sessions/${session.id}/speak`, { body: { segments } });
      for (const [segment, code, status] of bad) {
        const reply = await speak([good, segment]);
        expect(reply).toMatchObject({ status, body: { code, segment } });
      }
      for (const segments of [[], ['not an id'], Array(101).fill(good), 'x']) {
        expect(await speak(segments)).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      }
      expect(await sender.registry.queue(session.id)).toEqual([]);
    });

    it('rejects a full queue, an ended session and an unknown one', async () => {
      const small = await stack.signaling({ sessionQueueLimit: 2 });
      const { id } = await small.makeSession();
      const segment = await stack.addSegment();
      const speak = (session: string, count: number) =>
        small.request('POST', `/v1/sessions/${session}/speak`, { body: { segments: Array(count).fill(segment) } });
      expect((await speak(id, 3)).body.code).toBe('queue_full');
      expect((await speak(id, 2)).status).toBe(202);
      expect((await speak(id, 1)).body.code).toBe('queue_full');
      await small.request('DELETE', `/v1/sessions/${id}`);
      expect(await speak(id, 1)).toMatchObject({ status: 410, body: { code: 'session_ended' } });
      expect(await speak(newId('ses'), 1)).toMatchObject({ status: 404, body: { code: 'session_not_found' } });
    });
  });

  it('interrupt notifies the host and returns the last sequence number that it ended', async () => {
    const session = await hosted();
    const segments = [await stack.addSegment()];
    await signaling.request('POST', `${session.path}/speak`, { body: { segments } });
    const reply = await signaling.request('POST', `${session.path}/interrupt`, { auth: session.token });
    expect(reply).toMatchObject({ status: 202, body: { interruptedSeq: 1 } });
    await sender.received('session.interrupt', (mail) => mail.session === session.id && mail.seq === 1);
    session.viewer.ws.close();
  });

  describe('the turn of a session', () => {
    it('ends with an interruption, and rejects what was made for it', async () => {
      const { id } = await signaling.makeSession();
      const path = `/v1/sessions/${id}`;
      const segments = [await stack.addSegment()];
      const post = async (action: string, body: object) => signaling.request('POST', `${path}/${action}`, { body });
      expect(await post('speak', { segments, turn: 0 })).toMatchObject({ status: 202, body: { turn: 0 } });
      expect(await post('interrupt', { turn: 0 })).toMatchObject({ status: 202, body: { turn: 1 } });
      const late = { status: 409, body: { code: 'interrupted', turn: 1 } };
      expect(await post('speak', { segments, turn: 0 })).toMatchObject(late);
      expect(await post('interrupt', { turn: 0 })).toMatchObject(late);
      expect(await sender.registry.queue(id)).toEqual([]);
      expect((await signaling.request('GET', path)).body.turn).toBe(1);
      expect(await post('speak', { segments, turn: 1, interrupt: true })).toMatchObject({ body: { turn: 2 } });
      expect(await post('speak', { segments, turn: -1 })).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      expect(await post('interrupt', { turns: 1 })).toMatchObject({ status: 400, body: { code: 'bad_request' } });
    });

    it('is in the answer to a repeated request for a session', async () => {
      const make = () =>
        signaling.request('POST', '/v1/sessions', {
          body: { avatar: 'demo' },
          headers: { 'idempotency-key': 'a-session-with-turns' },
        });
      const { body } = await make();
      await signaling.request('POST', `/v1/sessions/${body.id}/interrupt`);
      expect((await make()).body).toMatchObject({ id: body.id, turn: 1 });
    });
  });

  it('sets the idle state and tells the host', async () => {
    const session = await hosted();
    const put = (body: object, auth?: string) =>
      signaling.request('PUT', `${session.path}/state`, { body, ...(auth !== undefined && { auth }) });
    expect((await signaling.request('GET', session.path)).body.idleState).toBe('idle');
    expect(await put({ state: 'thinking', turn: 0 })).toMatchObject({
      status: 200,
      body: { state: 'thinking', turn: 0 },
    });
    await sender.received('session.state', (mail) => mail.session === session.id);
    expect((await signaling.request('GET', session.path)).body.idleState).toBe('thinking');
    expect(await put({ state: 'thinking', turn: 1 })).toMatchObject({
      status: 409,
      body: { code: 'interrupted', turn: 0 },
    });
    expect(await put({ state: 'Not a name' })).toMatchObject({ status: 400, body: { code: 'bad_request' } });
    expect(await put({ state: 'thinking' }, session.token)).toMatchObject({ status: 403 });
    session.viewer.ws.close();
  });

  describe('the state of a session', () => {
    it("is the host's current state", async () => {
      const session = await hosted();
      const segment = newId('seg');
      const [reply] = await Promise.all([
        other.request('GET', session.path),
        sender
          .received('session.inspect', (mail) => mail.session === session.id)
          .then(({ request, replyTo }) =>
            sender.reply(replyTo, {
              type: 'session.inspected',
              session: session.id,
              request,
              inspection: {
                playhead: { segment, role: 'speech', positionMs: 420, frame: 12 },
                nextCut: { segment, frame: 13, inMs: 33 },
                held: false,
                prefetchedMs: 2000,
                underruns: 0,
                sending: [{ viewer: session.viewer.id, rung: 1, rungs: 3, estimateBps: 700_000 }],
              },
            }),
          ),
      ]);
      expect(reply.body).toMatchObject({
        id: session.id,
        state: 'hosted',
        host: sender.id,
        epoch: 1,
        live: true,
        playhead: { segment, role: 'speech', positionMs: 420, frame: 12 },
        nextCut: { frame: 13 },
        viewers: [
          {
            viewer: session.viewer.id,
            attempt: 1,
            whep: false,
            sending: { rung: 1, rungs: 3, estimateBps: 700_000 },
          },
        ],
      });
      session.viewer.ws.close();
    });

    it('shows neither viewers nor the host to a session token', async () => {
      const session = await hosted();
      const { body } = await other.request('GET', session.path, { auth: session.token });
      expect(body).toMatchObject({ id: session.id, state: 'hosted', epoch: 1, viewerCount: 1, viewers: [] });
      expect(JSON.stringify(body)).not.toMatch(/(vw|snd)_/);
      session.viewer.ws.close();
    });

    it('is the last saved one if the host does not answer', async () => {
      const session = await hosted();
      const segment = newId('seg');
      const playhead = { segment, role: 'speech', seq: 1, positionSamples: 48_000, atMs: 7 } as const;
      await sender.registry.savePlayhead(session.id, 1, playhead);
      const { body } = await signaling.request('GET', session.path);
      expect(body).toMatchObject({ live: false, playhead: { segment, role: 'speech', positionMs: 1000, atMs: 7 } });
      session.viewer.ws.close();
    });
  });

  it("lists sessions, media-senders, avatars and an avatar's segments", async () => {
    const session = await hosted();
    const { sessions } = (await other.request('GET', '/v1/sessions')).body;
    expect(sessions).toContainEqual(expect.objectContaining({ id: session.id, host: sender.id, avatar: 'demo' }));
    const { senders } = (await signaling.request('GET', '/v1/senders')).body;
    expect(senders).toEqual([expect.objectContaining({ id: sender.id, capacity: 100, draining: false })]);
    const { avatars } = (await other.request('GET', '/v1/avatars', { auth: '' })).body;
    expect(avatars).toContainEqual({ id: 'demo', name: 'demo' });
    const id = await stack.addSegment({ name: 'greeting.mp4' });
    const { segments } = (await signaling.request('GET', `${session.path}/segments`)).body;
    expect(segments).toContainEqual(expect.objectContaining({ id, name: 'greeting.mp4', durationMs: 1000 }));
    expect(segments.every(({ role }: { role: string }) => role === 'speech')).toBe(true);
    session.viewer.ws.close();
  });

  it('ends a session once and notifies its host', async () => {
    const session = await hosted();
    for (let i = 0; i < 2; i++) expect((await other.request('DELETE', session.path)).status).toBe(204);
    expect(await sender.received('session.end', (mail) => mail.session === session.id)).toMatchObject({
      reason: 'deleted',
    });
    expect((await signaling.request('GET', session.path)).body).toMatchObject({ state: 'ended', endReason: 'deleted' });
    expect((await other.request('DELETE', `/v1/sessions/${newId('ses')}`)).status).toBe(404);
  });
});
