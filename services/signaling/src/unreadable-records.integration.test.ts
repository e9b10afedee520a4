import { keys, newId, SessionRegistry } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventReader } from '../testing/event-reader.js';
import { FakeSender } from '../testing/fake-sender.js';
import { TestStack } from '../testing/start-test-signaling.js';
import { TestViewer } from '../testing/test-viewer.js';

/** After a rollback, during a rolling update or after damage, Redis has records that this version does not know. */
describe('signaling beside records of another version', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  it('keeps streaming after an event of an unknown type, to producers and viewers', async () => {
    const signaling = await stack.signaling();
    const session = await signaling.makeSession();
    const reader = await EventReader.open(signaling, session.id, { query: '?from=start' });
    const viewer = await TestViewer.join(signaling, session);
    await stack.queue.xadd(keys.sessionEvents(session.id), '*', 'e', '{"type":"speech.paused"}', 'at', '1');
    await stack.queue.publish(`hc:ev:${session.id}`, '1');
    expect((await signaling.request('DELETE', `/v1/sessions/${session.id}`)).status).toBe(204);
    await reader.received('session.ended');
    await viewer.received('event', ({ event }) => event.type === 'session.ended');
    expect(reader.events.map(({ event }) => event)).toEqual(['session.ended']);
    expect(await signaling.metrics()).toMatch(/humancast_unreadable_records_total\{kind="event".*\} [1-9]/);
  });

  it('lists avatars with unknown members and leaves out unreadable ones', async () => {
    const signaling = await stack.signaling();
    await stack.queue.hset(keys.avatars, {
      later: '{"id":"later","cutPolicy":"now","newMember":1}',
      broken: '{"id":"broken","cutPolicy":"mid-sentence"}',
    });
    const { status, body } = await signaling.request('GET', '/v1/avatars');
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        avatars: [
          { id: 'demo', name: 'demo', problemCount: 0, problems: [] },
          { id: 'later', name: 'later', problemCount: 0, problems: [] },
        ],
        problems: [],
      },
    });
    expect(await signaling.request('POST', '/v1/sessions', { body: { avatar: 'broken' } })).toMatchObject({
      status: 409,
      body: { code: 'record_unreadable' },
    });
  });

  it("lists sessions, creates demo sessions and moves a dead host's while one is in an unknown state", async () => {
    const signaling = await stack.signaling({ publicDemo: true }, { senderSweepMs: 50 });
    const [strange, session] = [await signaling.makeSession(), await signaling.makeSession()];
    await stack.queue.hset(keys.session(strange.id), 'state', 'paused');
    const stranger = newId('snd');
    await stack.queue.zadd(keys.senderIndex, '1', stranger);
    await stack.queue.set(keys.sender(stranger), '{"id":7}', 'PX', 60_000);

    const first = await FakeSender.start(stack.queueUrl);
    const viewer = await TestViewer.join(signaling, session);
    await viewer.received('offer');
    await first.crash();
    const second = await FakeSender.start(stack.queueUrl);
    await viewer.received('offer', ({ epoch }) => epoch > 1);
    await waitFor('the dead sender to be forgotten', async () => {
      return (await stack.queue.zscore(keys.senderIndex, first.id)) === null;
    });

    const list = await signaling.request('GET', '/v1/sessions');
    expect(list.status).toBe(200);
    const ids = list.body.sessions.map(({ id }: { id: string }) => id);
    expect(ids).toContain(session.id);
    expect(ids).not.toContain(strange.id);
    expect((await signaling.request('GET', '/v1/senders')).status).toBe(200);
    const demo = await signaling.request('POST', '/v1/sessions', { auth: '', body: { avatar: 'demo' } });
    expect(demo.status).toBe(201);
    expect(await signaling.request('GET', `/v1/sessions/${strange.id}`)).toMatchObject({
      status: 409,
      body: { code: 'record_unreadable' },
    });
    expect((await signaling.request('DELETE', `/v1/sessions/${strange.id}`)).status).toBe(204);
    expect((await new SessionRegistry(stack.queue).get(strange.id)).state).toBe('ended');
    viewer.ws.close();
    await second.stop();
  });
});
