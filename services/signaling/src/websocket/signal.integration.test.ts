import { createHmac } from 'node:crypto';
import { closeCodeOf } from '@humancast/protocol';
import { newId, signToken } from '@humancast/shared';
import { rawUpgrade, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventReader } from '../../testing/event-reader.js';
import { FakeSender } from '../../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

const TOKEN_SECRET = 'secret-of-the-tests';

describe('signaling', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let sender: FakeSender;
  beforeAll(async () => {
    stack = await TestStack.start();
    signaling = await stack.signaling();
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
  });

  describe('a joined viewer', () => {
    it('gets an offer; its answer and reports reach the host in order, its candidates are dropped', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      expect(await viewer.received('joined')).toMatchObject({
        session: session.id,
        avatar: 'demo',
        heartbeatMs: 10_000,
      });
      const offer = await viewer.received('offer');
      expect(offer).toMatchObject({ epoch: 1, codec: 'vp8' });
      const { connection } = offer;
      viewer.send({ type: 'answer', connection, sdp: 'v=0 answer' });
      viewer.send({ type: 'candidate', connection, candidate: { candidate: 'candidate:1', sdpMid: '0' } });
      viewer.send({ type: 'report', connection, report: { skewMs: 3 } });
      await sender.received('viewer.report', ({ viewer: id }) => id === viewer.id);
      const of = { session: session.id, viewer: viewer.id, connection };
      expect(sender.mail.filter((mail) => 'viewer' in mail && mail.viewer === viewer.id)).toEqual([
        { type: 'viewer.answer', ...of, sdp: 'v=0 answer' },
        { type: 'viewer.report', ...of, report: { skewMs: 3 } },
      ]);
      viewer.ws.close();
    });

    it('may speak only with the microphone token of its session, also after a new connection', async () => {
      const request = { body: { avatar: 'demo', microphone: true } };
      const { body } = await signaling.request('POST', '/v1/sessions', request);
      const { id, token, microphoneToken } = body as { id: string; token: string; microphoneToken: string };
      const watcher = await TestViewer.join(signaling, { id, token });
      const speaker = await TestViewer.join(signaling, { id, token: microphoneToken });
      const rightOf = async (viewer: TestViewer) => (await sender.viewer(id, viewer.id)).microphone;
      expect([await rightOf(watcher), await rightOf(speaker)]).toEqual([false, true]);
      await speaker.received('offer');
      speaker.send({ type: 'reconnect' });
      await waitFor('the second attempt', async () => (await sender.viewer(id, speaker.id)).attempt === 2);
      expect(await rightOf(speaker)).toBe(true);
      const without = await signaling.request('POST', '/v1/sessions', { body: { avatar: 'demo' } });
      expect(without.body).not.toHaveProperty('microphoneToken');
      for (const { ws } of [watcher, speaker]) ws.close();
    });

    it("receives the current host's messages and none from a host with an older epoch", async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      const { connection } = await viewer.received('offer');
      const record = await sender.viewer(session.id, viewer.id);
      const of = { session: session.id, viewer: viewer.id, connection };
      const offer = { type: 'viewer.offer', session: session.id, viewer: viewer.id, sdp: 'v=0' } as const;
      await sender.send(record, { ...offer, connection: 'of-new-host', epoch: 2 });
      await sender.send(record, { ...offer, connection: 'of-old-host', epoch: 1 });
      await sender.send(record, { type: 'viewer.error', ...of, epoch: 2, code: 'bad_sdp', message: 'no' });
      await sender.send(record, { type: 'viewer.closed', ...of, epoch: 2, reason: 'ice-failed' });
      expect(await viewer.received('closed')).toEqual({ type: 'closed', connection, reason: 'ice-failed' });
      expect(await viewer.received('error')).toEqual({ type: 'error', code: 'bad_sdp', message: 'no' });
      const offered = viewer.messages.flatMap((item) => (item.type === 'offer' ? [item.connection] : []));
      expect(offered).toEqual([connection, 'of-new-host']);
      viewer.ws.close();
    });

    it("receives the session's events and is closed with session_ended when it ends", async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      await viewer.received('offer');
      expect(await viewer.received('event', ({ event }) => event.type === 'session.hosted')).toBeDefined();
      await signaling.request('DELETE', `/v1/sessions/${session.id}`);
      await viewer.received('event', ({ event }) => event.type === 'session.ended');
      expect(await viewer.closure()).toEqual({ code: closeCodeOf('session_ended'), reason: 'session_ended' });
      await sender.received('session.end', (mail) => mail.session === session.id);
    });

    it('exchanges messages with producers, which other viewers do not get', async () => {
      const session = await signaling.makeSession();
      const viewers = [await TestViewer.join(signaling, session), await TestViewer.join(signaling, session)] as const;
      const [one, two] = viewers;
      const path = `/v1/sessions/${session.id}`;
      const producer = await EventReader.open(signaling, session.id, { query: '?from=start' });
      const guest = await EventReader.open(signaling, session.id, {
        query: `?from=start&token=${session.token}`,
        auth: '',
      });
      one.send({ type: 'message', data: { slide: 3 } });
      const { data: told } = await producer.received('viewer.message');
      expect(told).toMatchObject({ viewer: one.id, data: { slide: 3 } });
      const headers = { 'idempotency-key': 'once' };
      for (let i = 0; i < 2; i++) {
        const body = { data: 'for two', viewer: two.id };
        expect(await signaling.request('POST', `${path}/messages`, { headers, body })).toMatchObject({ status: 202 });
      }
      await signaling.request('POST', `${path}/messages`, { body: { data: ['for all'] } });
      for (const viewer of viewers) await viewer.received('message', ({ data }) => Array.isArray(data));
      const messagesOf = ({ messages }: TestViewer) =>
        messages.flatMap((each) => (each.type === 'message' ? [each.data] : []));
      expect(viewers.map(messagesOf)).toEqual([[['for all']], ['for two', ['for all']]]);
      await signaling.request('PUT', `${path}/state`, { body: { state: 'thinking' } });
      await guest.received('session.state');
      expect(guest.events.filter(({ event }) => event.endsWith('.message'))).toEqual([]);
      const seen = viewers.flatMap(({ messages }) =>
        messages.flatMap((each) => (each.type === 'event' ? [each.event.type] : [])),
      );
      expect(seen.filter((type) => type.endsWith('.message'))).toEqual([]);
      for (const reader of [producer, guest]) reader.close();
      for (const { ws } of viewers) ws.close();
    });

    it('is told that a message is too large, and that there are too many', async () => {
      const strict = await stack.signaling({ messagesPerMinute: 2 });
      const session = await strict.makeSession();
      const viewer = await TestViewer.join(strict, session);
      viewer.send({ type: 'message', data: 'x'.repeat(2047) });
      expect(await viewer.received('error')).toMatchObject({ code: 'bad_message' });
      for (let i = 0; i < 5; i++) viewer.send({ type: 'message', data: 'x'.repeat(2046) });
      await viewer.received('error', ({ code }) => code === 'rate_limited');
      const large = { data: 'x'.repeat(2047) };
      const reply = await strict.request('POST', `/v1/sessions/${session.id}/messages`, { body: large });
      expect(reply).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      viewer.ws.close();
    });

    it('interrupts everything queued', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      await viewer.received('offer');
      const segment = await stack.addSegment();
      await signaling.request('POST', `/v1/sessions/${session.id}/speak`, { body: { segments: [segment, segment] } });
      viewer.send({ type: 'interrupt' });
      expect(await sender.received('session.interrupt', (mail) => mail.session === session.id)).toMatchObject({
        seq: 2,
      });
      viewer.ws.close();
    });

    it('gets another offer on reconnect, and rate_limited beyond the limit', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      const first = await viewer.received('offer');
      viewer.send({ type: 'reconnect', connection: first.connection });
      const second = await viewer.received('offer', ({ connection }) => connection !== first.connection);
      viewer.send({ type: 'answer', connection: second.connection, sdp: 'v=0' });
      await sender.received('viewer.answer', (mail) => mail.connection === second.connection);
      for (let i = 0; i < 10; i++) viewer.send({ type: 'reconnect' });
      expect(await viewer.received('error')).toMatchObject({ code: 'rate_limited' });
      expect(viewer.closed).toBeUndefined();
      viewer.ws.close();
    });

    it('is removed immediately when it leaves', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      await viewer.received('offer');
      viewer.send({ type: 'leave' });
      expect(await viewer.closure()).toMatchObject({ code: 1000 });
      await waitFor('the viewer to be gone', async () => (await sender.registry.viewers(session.id)).length === 0);
      await sender.received('viewers.changed', (mail) => mail.session === session.id);
    });

    it('has messages sent right after its join handled in order', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.connect(signaling);
      const join = { type: 'join', session: session.id, token: session.token } as const;
      viewer.send(join);
      viewer.send({ type: 'ping' });
      viewer.send(join);
      viewer.ws.send(JSON.stringify({ type: 'dance' }));
      viewer.send({ type: 'ping' });
      await waitFor('the second pong', () => viewer.messages.filter(({ type }) => type === 'pong').length === 2);
      const answers = viewer.messages.flatMap((message) => {
        if (message.type === 'error') return [message.code];
        return message.type === 'joined' || message.type === 'pong' ? [message.type] : [];
      });
      expect(answers).toEqual(['joined', 'pong', 'already_joined', 'bad_message', 'pong']);
      viewer.ws.close();
    });

    it('gets a pong for its ping', async () => {
      const viewer = await TestViewer.join(signaling, await signaling.makeSession());
      viewer.send({ type: 'ping' });
      await viewer.received('pong');
      viewer.ws.close();
    });

    it('gets relay credentials in the form that coturn accepts', async () => {
      const turnUrls = ['turn:turn.example:3478?transport=udp'];
      const turnSecret = 'shared-with-coturn';
      const withTurn = await stack.signaling({ turnUrls, turnSecret, turnTtlSeconds: 600 });
      const viewer = await TestViewer.join(withTurn, await signaling.makeSession());
      const { iceServers, relayOnly } = await viewer.received('joined');
      expect(relayOnly).toBe(true);
      const { username = '', credential, urls } = iceServers[0] ?? { urls: [] };
      expect(urls).toEqual(turnUrls);
      expect(username).toMatch(new RegExp(`^\\d+:${viewer.id}$`));
      expect(Number.parseInt(username, 10) - Date.now() / 1000).toBeGreaterThan(500);
      expect(credential).toBe(createHmac('sha1', turnSecret).update(username).digest('base64'));
      viewer.ws.close();
    });

    it('gets new relay credentials with every offer, for the same user', async () => {
      const turn = { turnUrls: ['turn:turn.example:3478?transport=udp'], turnSecret: 'shared-with-coturn' };
      const withTurn = await stack.signaling({ ...turn, turnTtlSeconds: 600 });
      const viewer = await TestViewer.join(withTurn, await signaling.makeSession());
      const first = await viewer.received('offer');
      const expiryOf = (offer: typeof first) => Number.parseInt(offer.iceServers?.[0]?.username ?? '', 10);
      // Credentials expire at whole seconds.
      await waitFor('the next second', () => Math.floor(Date.now() / 1000) + 600 > expiryOf(first));
      viewer.send({ type: 'reconnect', connection: first.connection });
      const next = await viewer.received('offer', ({ connection }) => connection !== first.connection);
      expect(expiryOf(next)).toBeGreaterThan(expiryOf(first));
      for (const { iceServers } of [first, next]) {
        expect(iceServers?.[0]?.username).toMatch(new RegExp(`^\\d+:${viewer.id}$`));
      }
      viewer.ws.close();
    });
  });

  describe('while every media-sender is full', () => {
    it('sends each viewer its position, and an offer once a media-sender has capacity', async () => {
      const own = await TestStack.start();
      const full = await own.signaling({}, { waitingTickMs: 20 });
      const first = await TestViewer.join(full, await full.makeSession());
      expect(await first.received('waiting')).toEqual({ type: 'waiting', position: 1 });
      const second = await TestViewer.join(full, await full.makeSession());
      expect(await second.received('waiting')).toEqual({ type: 'waiting', position: 2 });
      const free = await FakeSender.start(own.queueUrl, { capacity: 1 });
      await first.received('offer');
      await second.received('waiting', ({ position }) => position === 1);
      expect(second.messages.some(({ type }) => type === 'offer')).toBe(false);
      await free.stop();
      await own.stop();
    });

    it('requests a host again if its job was lost', async () => {
      const own = await TestStack.start();
      const lonely = await own.signaling({}, { waitingTickMs: 20, offerMs: 100 });
      const viewer = await TestViewer.join(lonely, await lonely.makeSession());
      await viewer.received('waiting');
      for (const key of await own.queue.keys('{hc:bull}*')) await own.queue.del(key);
      const late = await FakeSender.start(own.queueUrl);
      await viewer.received('offer');
      await late.stop();
      await own.stop();
    });
  });

  it('repeats the request to a host that makes no offer', async () => {
    const own = await TestStack.start();
    const patient = await own.signaling({}, { waitingTickMs: 20, offerMs: 100 });
    const forgetful = await FakeSender.start(own.queueUrl, {
      serve: async (self, session, viewer, epoch) => {
        if (viewer.attempt > 1) await self.offer(session, viewer, epoch);
      },
    });
    const viewer = await TestViewer.join(patient, await patient.makeSession());
    await viewer.received('offer');
    await forgetful.stop();
    await own.stop();
  });

  describe('rejects', () => {
    const sign = (claims: Partial<{ sid: string; exp: number }>, secret: string = TOKEN_SECRET) =>
      signToken({ sid: newId('ses'), exp: Math.floor(Date.now() / 1000) + 60, scope: 'view', ...claims }, [secret]);

    async function rejection(first: string | Buffer): Promise<{ error: string | undefined; code: number }> {
      const viewer = await TestViewer.connect(signaling);
      viewer.ws.send(first);
      const { code } = await viewer.closure();
      const error = viewer.messages.find((message) => message.type === 'error');
      return { error: error?.code, code };
    }
    const join = (session: string, token: string) => JSON.stringify({ type: 'join', session, token });

    it('a wrong token', async () => {
      const { id } = await signaling.makeSession();
      const forged = join(id, await sign({ sid: id }, 'another-secret-altogether'));
      expect(await rejection(forged)).toEqual({ error: 'unauthorized', code: 4401 });
    });

    it('an expired token', async () => {
      const { id } = await signaling.makeSession();
      const expired = join(id, await sign({ sid: id, exp: Math.floor(Date.now() / 1000) - 1 }));
      expect(await rejection(expired)).toEqual({ error: 'token_expired', code: 4401 });
    });

    it("another session's token", async () => {
      const [one, other] = [await signaling.makeSession(), await signaling.makeSession()];
      expect(await rejection(join(one.id, other.token))).toEqual({ error: 'forbidden', code: 4403 });
    });

    it('an unknown session and an ended one', async () => {
      const gone = newId('ses');
      expect(await rejection(join(gone, await sign({ sid: gone })))).toEqual({
        error: 'session_not_found',
        code: 4404,
      });
      const over = await signaling.makeSession();
      await signaling.request('DELETE', `/v1/sessions/${over.id}`);
      expect(await rejection(join(over.id, over.token))).toEqual({ error: 'session_ended', code: 4410 });
    });

    it('more viewers than a session may have', async () => {
      const small = await stack.signaling({ viewerLimit: 1 });
      const session = await small.makeSession();
      const viewer = await TestViewer.join(small, session);
      const other = await TestViewer.connect(small);
      other.send({ type: 'join', session: session.id, token: session.token });
      expect(await other.closure()).toMatchObject({ code: 4409, reason: 'viewer_limit' });
      expect(other.messages.map(({ type }) => type)).toEqual(['error']);
      viewer.ws.close();
    });

    it.each([
      ['what is not JSON', 'hello'],
      ['an unknown type', JSON.stringify({ type: 'dance' })],
      ['a join without a token', JSON.stringify({ type: 'join', session: newId('ses') })],
      ['a binary message', Buffer.from('{"type":"ping"}')],
    ])('%s as the first message', async (_, message) => {
      expect(await rejection(message)).toEqual({ error: 'bad_message', code: 4400 });
    });

    it('anything but a join as the first message', async () => {
      expect(await rejection(JSON.stringify({ type: 'ping' }))).toEqual({ error: 'join_required', code: 4409 });
    });

    it('a connection without a join in time', async () => {
      const impatient = await stack.signaling({}, { joinMs: 50 });
      const viewer = await TestViewer.connect(impatient);
      expect(await viewer.closure()).toEqual({ code: 4408, reason: 'idle_timeout' });
    });

    it('a message that is too large', async () => {
      const viewer = await TestViewer.join(signaling, await signaling.makeSession());
      viewer.ws.send(JSON.stringify({ type: 'ping', padding: 'x'.repeat(65_536) }));
      expect(await viewer.closure()).toMatchObject({ code: 1009 });
    });

    it('too many messages', async () => {
      const strict = await stack.signaling({ messagesPerSecond: 1 });
      const viewer = await TestViewer.join(strict, await signaling.makeSession());
      for (let i = 0; i < 30; i++) viewer.send({ type: 'ping' });
      expect(await viewer.closure()).toEqual({ code: 4429, reason: 'rate_limited' });
      expect(await viewer.received('error')).toMatchObject({ code: 'rate_limited' });
      expect(await strict.metrics()).toMatch(/humancast_signaling_errors_total{.*code="rate_limited".*} 1/);
    });

    it('a second join and malformed messages after the join, without closing', async () => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.join(signaling, session);
      viewer.send({ type: 'join', session: session.id, token: session.token });
      await viewer.received('error', ({ code }) => code === 'already_joined');
      viewer.ws.send('{');
      await viewer.received('error', ({ code }) => code === 'bad_message');
      viewer.send({ type: 'ping' });
      await viewer.received('pong');
      viewer.ws.close();
    });

    it('an upgrade with a problem document that has one Content-Type and one Content-Length', async () => {
      const strict = await stack.signaling({ connectsPerMinute: 1 });
      const rejected = [await rawUpgrade(strict.signalUrl, { origin: 'https://evil.example' })];
      (await TestViewer.connect(strict)).ws.close();
      rejected.push(await rawUpgrade(strict.signalUrl));
      expect(rejected.map(({ status }) => status)).toEqual([403, 429]);
      for (const { status, headers, body } of rejected) {
        expect(headers.get('content-type')).toEqual(['application/problem+json']);
        expect(headers.get('content-length')).toEqual([String(Buffer.byteLength(body))]);
        expect(JSON.parse(body)).toMatchObject({ status });
      }
      expect(rejected[1]?.headers.get('retry-after')).toHaveLength(1);
    });

    it('upgrades to another path without an answer, those of foreign origins with 403 and too many with 429', async () => {
      const strict = await stack.signaling({ connectsPerMinute: 3, allowedOrigins: ['https://shop.example'] });
      const elsewhere = strict.signalUrl.replace('signal', 'other');
      expect(await TestViewer.rejected({ signalUrl: elsewhere })).toBeUndefined();
      expect(await TestViewer.rejected(strict, { origin: 'https://evil.example' })).toBe(403);
      const allowed = [{ origin: strict.url }, { origin: 'https://shop.example' }, {}];
      for (const headers of allowed) (await TestViewer.connect(strict, { headers })).ws.close();
      expect(await TestViewer.rejected(strict)).toBe(429);
    });
  });

  it('terminates a connection that answers no pings and keeps one that does', async () => {
    const quick = await stack.signaling({ heartbeatMs: 30 });
    const viewer = await TestViewer.connect(quick, { autoPong: false });
    const session = await signaling.makeSession();
    viewer.send({ type: 'join', session: session.id, token: session.token });
    expect(await viewer.closure()).toMatchObject({ code: 1006 });
    const alive = await TestViewer.join(quick, session);
    const pings = new Promise<void>((resolve) => {
      let count = 0;
      alive.ws.on('ping', () => {
        count += 1;
        if (count === 5) resolve();
      });
    });
    await pings;
    expect(alive.closed).toBeUndefined();
    alive.ws.close();
  });
});
