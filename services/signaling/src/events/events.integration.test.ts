import { connect } from 'node:net';
import { type SessionEventBody } from '@humancast/protocol';
import { eventsChannel, newId, SessionRegistry } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventReader } from '../../testing/event-reader.js';
import { API_KEY, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';

describe('the events of a session', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let other: TestSignaling;
  let registry: SessionRegistry;
  beforeAll(async () => {
    stack = await TestStack.start();
    [signaling, other] = await Promise.all([stack.signaling({}, { eventHeartbeatMs: 20 }), stack.signaling()]);
    registry = new SessionRegistry(stack.queue);
  });
  afterAll(() => stack.stop());

  async function hosted() {
    const { id, token } = await signaling.makeSession();
    await registry.requestHost(id);
    await registry.claim(id, 1, newId('snd'));
    return { id, token, emit: (body: SessionEventBody) => registry.emit(id, 1, body) };
  }
  const connected = (): SessionEventBody => ({ type: 'viewer.connected', viewer: newId('vw') });

  it('start from now, or from the beginning on request', async () => {
    const { id, emit } = await hosted();
    const now = await EventReader.open(signaling, id);
    const all = await EventReader.open(other, id, { query: '?from=start' });
    await all.received('session.hosted');
    await emit(connected());
    const { data, id: eventId } = await now.received('viewer.connected');
    expect(data).toMatchObject({ type: 'viewer.connected', session: id, id: eventId });
    expect(now.events.map(({ event }) => event)).toEqual(['viewer.connected']);
    await all.received('viewer.connected');
    expect(now.retryMs).toBe(2000);
    now.close();
    all.close();
  });

  it('resume after Last-Event-ID, at any process', async () => {
    const { id, emit } = await hosted();
    const first = await EventReader.open(signaling, id, { query: '?from=start' });
    const seen = await first.received('session.hosted');
    first.close();
    await emit(connected());
    await emit({ type: 'playback.held', segment: newId('seg'), heldMs: 40 });
    const again = await EventReader.open(other, id, { headers: { 'last-event-id': seen.id } });
    await again.received('playback.held');
    expect(again.events.map(({ event }) => event)).toEqual(['viewer.connected', 'playback.held']);
    again.close();
  });

  it('report a gap to a reader that resumes after 2100 events', async () => {
    const { id, emit } = await hosted();
    const first = await EventReader.open(signaling, id, { query: '?from=start' });
    const seen = await first.received('session.hosted');
    first.close();
    for (let n = 0; n < 2100; n++) await emit({ type: 'playback.held', segment: newId('seg'), heldMs: n });
    const again = await EventReader.open(other, id, { headers: { 'last-event-id': seen.id } });
    const missed = await again.received('events.missed');
    await waitFor('the last event', () => again.events.find(({ data }) => data.heldMs === 2099));
    expect(again.events[0]).toBe(missed);
    expect(missed.data).toMatchObject({ afterId: seen.id, throughId: missed.id, scope: 'all', session: id });
    const heldMs = again.events.slice(1).map(({ data }) => data.heldMs);
    expect(heldMs).toEqual(Array.from({ length: heldMs.length }, (_, i) => 2100 - heldMs.length + i));
    expect(heldMs.length).toBeGreaterThanOrEqual(2000);
    again.close();
    // A reader that continues after that gets nothing twice.
    const third = await EventReader.open(signaling, id, { headers: { 'last-event-id': missed.id } });
    await waitFor('the last event', () => third.events.find(({ data }) => data.heldMs === 2099));
    expect(third.events.map(({ data }) => data.heldMs)).toEqual(heldMs);
    third.close();
  });

  it('keep speech events while viewers connect and disconnect', async () => {
    const { id, emit } = await hosted();
    const { queued } = await registry.speak(id, [newId('seg')]);
    const [item] = queued;
    if (!item) throw new Error('nothing was queued');
    const end = { type: 'speech.finished', ...item, positionMs: 5, interrupted: false, reason: 'finished' } as const;
    await registry.speechFinished(id, 1, end);
    for (let n = 0; n < 2100; n++) await emit(connected());
    const reader = await EventReader.open(signaling, id, { query: '?from=start' });
    const { data } = await reader.received('speech.finished');
    expect(data).toMatchObject({ seq: item.seq, positionMs: 5 });
    const missed = await reader.received('events.missed');
    expect(missed.data).toMatchObject({ afterId: '0', scope: 'viewers' });
    reader.close();
  });

  it('end with the session; a reader that has seen the end gets 204', async () => {
    const { id } = await hosted();
    const reader = await EventReader.open(signaling, id);
    await signaling.request('DELETE', `/v1/sessions/${id}`);
    const end = await reader.received('session.ended');
    await waitFor('the stream to end', () => reader.ended);
    const path = `/v1/sessions/${id}/events`;
    expect((await signaling.request('GET', path, { headers: { 'last-event-id': end.id } })).status).toBe(204);
    expect(await signaling.request('GET', path)).toMatchObject({ status: 410, body: { code: 'session_ended' } });
    const late = await EventReader.open(other, id, { query: '?from=start' });
    await late.received('session.ended');
    await waitFor('the stream to end', () => late.ended);
  });

  it('accept a token in the URL, but no API key', async () => {
    const { id, token } = await hosted();
    const reader = await EventReader.open(signaling, id, { auth: '', query: `?from=start&token=${token}` });
    await reader.received('session.hosted');
    reader.close();
    const path = `/v1/sessions/${id}/events`;
    expect((await signaling.request('GET', `${path}?token=${API_KEY}`, { auth: '' })).status).toBe(401);
    expect((await signaling.request('GET', path, { auth: '' })).status).toBe(401);
    const foreign = (await signaling.makeSession()).token;
    expect((await signaling.request('GET', path, { auth: foreign })).status).toBe(403);
  });

  it('reject an unknown session and a malformed id', async () => {
    const { id } = await hosted();
    const path = `/v1/sessions/${id}/events`;
    expect((await signaling.request('GET', `/v1/sessions/${newId('ses')}/events`)).status).toBe(404);
    expect((await signaling.request('GET', path, { headers: { 'last-event-id': 'x' } })).status).toBe(400);
    expect((await signaling.request('GET', `${path}?from=yesterday`)).status).toBe(400);
  });

  it('are kept alive by comments', async () => {
    const { id } = await hosted();
    const reader = await EventReader.open(signaling, id);
    await waitFor('two comments', () => reader.comments >= 2);
    reader.close();
  });

  it('arrive if a notification is lost or the subscription breaks', async () => {
    const { id, emit } = await hosted();
    const reader = await EventReader.open(other, id, { query: '?from=start' });
    await reader.received('session.hosted');
    await stack.queue.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await emit(connected());
    await reader.received('viewer.connected');
    await waitFor('the subscription', async () => {
      const [, count] = (await stack.queue.pubsub('NUMSUB', eventsChannel(id))) as [string, number];
      return count === 1;
    });
    reader.close();
    await waitFor('no subscription', async () => {
      const [, count] = (await stack.queue.pubsub('NUMSUB', eventsChannel(id))) as [string, number];
      return count === 0;
    });
  });

  it('leave nothing behind after 500 requests that are aborted at any moment', async () => {
    const limits = { eventStreamsPerAddress: 20, eventStreamsPerSession: 20 };
    const own = await stack.signaling({ ...limits, sessionRequestsPerSecond: 10_000 });
    const { id, token } = await own.makeSession();
    for (let i = 0; i < 500; i++) {
      await new Promise<void>((resolve, reject) => {
        const socket = connect(own.port, '127.0.0.1', () => {
          const head = `GET /v1/sessions/${id}/events?token=${token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
          socket.write(head, () => {
            if (i % 2 === 0) socket.resetAndDestroy();
            else socket.destroy();
            resolve();
          });
        });
        socket.on('error', reject);
      });
    }
    await waitFor('all reservations to be released', async () => {
      const readers = await Promise.all(
        Array.from({ length: 20 }, () => EventReader.open(own, id, { auth: '', query: `?token=${token}` })),
      );
      const statuses = readers.map(({ status }) => status);
      if (statuses.some((status) => status !== 200)) for (const reader of readers) reader.close();
      return statuses.every((status) => status === 200);
    });
    expect(await own.metrics()).toMatch(/event_streams{.*} 20\n/);
    const rejected = await own.request('GET', `/v1/sessions/${id}/events`, { auth: token });
    expect(rejected).toMatchObject({ status: 429, body: { code: 'too_many_connections' } });
    expect(rejected.headers.get('retry-after')).toBe('5');
    await own.request('DELETE', `/v1/sessions/${id}`);
    await waitFor('all streams to end', async () => (await own.metrics()).match(/event_streams{.*} 0\n/) ?? undefined);
  });

  it('end for a reader that does not read', async () => {
    const { id, emit } = await hosted();
    const socket = connect(signaling.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`GET /v1/sessions/${id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`);
    await waitFor('the stream', async () => (await signaling.metrics()).match(/event_streams{.*} 1/) ?? undefined);
    socket.pause();
    const reason = 'x'.repeat(100_000);
    await waitFor('the reader to be cut off', async () => {
      // The kernel buffers megabytes for a slow reader.
      await Promise.all(
        Array.from({ length: 10 }, () => emit({ type: 'viewer.disconnected', viewer: newId('vw'), reason })),
      );
      return (await signaling.metrics()).match(/event_streams{.*} 0/) ?? undefined;
    });
    socket.destroy();
  });
});
