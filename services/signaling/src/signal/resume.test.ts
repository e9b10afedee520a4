import { closeCodeOf, signToken } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';
import { waitFor } from '../../testing/wait-for.js';

describe('a viewer whose WebSocket was lost', () => {
  let stack: TestStack;
  let one: TestSignaling;
  let other: TestSignaling;
  let sender: FakeSender;
  beforeAll(async () => {
    stack = await TestStack.start();
    one = await stack.signaling({}, { viewerGraceMs: 400 });
    other = await stack.signaling({}, { viewerGraceMs: 400 });
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
  });

  /** Proves that the viewer is reached by what its host says. */
  async function hears(viewer: TestViewer, session: string) {
    const record = await sender.viewer(session, viewer.id);
    const candidate = { candidate: `for ${viewer.id}` };
    const of = { session, viewer: viewer.id, connection: 'connection-1', epoch: 1 };
    await sender.tell(record, { type: 'viewer.candidate', ...of, candidate });
    await viewer.got('candidate', (message) => message.candidate.candidate === candidate.candidate);
  }

  async function playing() {
    const session = await one.makeSession();
    const viewer = await TestViewer.join(one, session);
    const { connection } = await viewer.got('offer');
    return { session, viewer, connection, id: viewer.id };
  }

  it('goes on at another process, without a new offer while its connection plays', async () => {
    const { session, viewer, connection, id } = await playing();
    viewer.ws.terminate();
    const again = await TestViewer.join(other, session, { viewer: id, connection });
    expect(again.id).toBe(id);
    const record = await sender.viewer(session.id, id);
    expect(record.attempt).toBe(1);
    await sender.tell(record, {
      type: 'viewer.candidate',
      session: session.id,
      viewer: id,
      connection,
      epoch: 1,
      candidate: { candidate: 'after the move' },
    });
    expect(await again.got('candidate')).toMatchObject({ candidate: { candidate: 'after the move' } });
    again.send({ type: 'report', connection, report: { freezes: 1 } });
    await sender.got('viewer.report', (mail) => mail.viewer === id);
    expect(again.messages.some(({ type }) => type === 'offer')).toBe(false);
    // Lost later at the process it came from, and given up: so its own grace time there is over, too.
    const witness = await playing();
    witness.viewer.ws.terminate();
    await waitFor('the grace time', async () => (await sender.registry.viewers(witness.session.id)).length === 0);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    again.ws.close();
  });

  it('gets a new offer when it names no connection', async () => {
    const { session, viewer, connection, id } = await playing();
    viewer.ws.terminate();
    const again = await TestViewer.join(other, session, { viewer: id });
    expect((await again.got('offer')).connection).not.toBe(connection);
    expect((await sender.viewer(session.id, id)).attempt).toBe(2);
    again.ws.close();
  });

  it('stays while it may come back, and is removed when it does not', async () => {
    const { session, viewer } = await playing();
    viewer.ws.terminate();
    await waitFor('the socket to close', () => viewer.closed);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    const before = sender.mail.length;
    await waitFor('the viewer to be removed', async () => (await sender.registry.viewers(session.id)).length === 0);
    await waitFor('the host to be told', () =>
      sender.mail.slice(before).some((mail) => mail.type === 'viewers.changed' && mail.session === session.id),
    );
  });

  it('is a new viewer when it comes back too late', async () => {
    const { session, viewer, id, connection } = await playing();
    viewer.send({ type: 'leave' });
    await waitFor('the viewer to be removed', async () => (await sender.registry.viewers(session.id)).length === 0);
    const again = await TestViewer.join(one, session, { viewer: id, connection });
    expect(again.id).not.toBe(id);
    await again.got('offer');
    again.ws.close();
  });

  it('may come back after its token has expired, but nobody may come new', async () => {
    const { session, viewer, id, connection } = await playing();
    const expired = signToken({ sid: session.id, exp: 1, scope: 'view' }, ['secret-of-the-tests']);
    viewer.ws.terminate();
    const again = await TestViewer.join(other, { id: session.id, token: expired }, { viewer: id, connection });
    expect(again.id).toBe(id);
    const stranger = await TestViewer.connect(other);
    stranger.send({ type: 'join', session: session.id, token: expired, viewer: 'vw_notTheViewer00' });
    expect(await stranger.closure()).toEqual({ code: 4401, reason: 'token_expired' });
    again.ws.close();
  });

  it.each(['the same', 'another'])('replaces its older WebSocket at %s process', async (which) => {
    const { session, viewer, connection, id } = await playing();
    const again = await TestViewer.join(which === 'another' ? other : one, session, { viewer: id, connection });
    expect(await viewer.closure()).toEqual({ code: closeCodeOf('replaced'), reason: 'replaced' });
    expect(await viewer.got('error')).toMatchObject({ code: 'replaced' });
    await hears(again, session.id);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    again.ws.close();
  });

  it('stays when it is said to be elsewhere and is not', async () => {
    const { session, viewer, id } = await playing();
    const record = await sender.viewer(session.id, id);
    await sender.tell(record, { type: 'viewer.replaced', session: session.id, viewer: id });
    await hears(viewer, session.id);
    // Answered over the connection that the process looked the viewer up with: it has had its answer, too.
    await one.request('GET', '/v1/sessions');
    viewer.send({ type: 'ping' });
    await viewer.got('pong');
    viewer.ws.close();
  });

  it('keeps the newest WebSocket when it has gone to and fro', async () => {
    const { session, viewer, connection, id } = await playing();
    const there = await TestViewer.join(other, session, { viewer: id, connection });
    const back = await TestViewer.join(one, session, { viewer: id, connection });
    await viewer.closure();
    await there.closure();
    back.send({ type: 'ping' });
    await back.got('pong');
    back.ws.close();
  });

  it('is sent to another process when its own stops, and stays a viewer', async () => {
    const stopping = await stack.signaling();
    const session = await stopping.makeSession();
    const viewer = await TestViewer.join(stopping, session);
    const { connection } = await viewer.got('offer');
    await stopping.close();
    expect(await viewer.closure()).toMatchObject({ code: 1012 });
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    const again = await TestViewer.join(one, session, { viewer: viewer.id, connection });
    expect(again.id).toBe(viewer.id);
    again.ws.close();
  });
});
