import { closeCodeOf } from '@humancast/protocol';
import { newId, signToken } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

const TOKEN_KEYS = ['secret-of-the-tests'] as const;

describe('a viewer whose WebSocket was lost', () => {
  let stack: TestStack;
  let one: TestSignaling;
  let other: TestSignaling;
  let sender: FakeSender;
  beforeAll(async () => {
    stack = await TestStack.start();
    one = await stack.signaling({ viewerGraceMs: 400 });
    other = await stack.signaling({ viewerGraceMs: 400 });
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
  });

  /** Proves that the viewer receives its host's messages. */
  async function expectReached(viewer: TestViewer, session: string) {
    const record = await sender.viewer(session, viewer.id);
    const reason = `for ${viewer.id}`;
    const of = { session, viewer: viewer.id, connection: 'connection-1', epoch: 1 };
    await sender.send(record, { type: 'viewer.closed', ...of, reason });
    await viewer.received('closed', (message) => message.reason === reason);
  }

  async function playing() {
    const session = await one.makeSession();
    const viewer = await TestViewer.join(one, session);
    const { connection } = await viewer.received('offer');
    return { session, viewer, connection, id: viewer.id };
  }

  it('resumes at another process without a new offer while its connection plays', async () => {
    const { session, viewer, connection, id } = await playing();
    viewer.ws.terminate();
    const again = await TestViewer.join(other, session, { ...viewer.resumeFields, connection });
    expect(again.id).toBe(id);
    const record = await sender.viewer(session.id, id);
    expect(record.attempt).toBe(1);
    await sender.send(record, {
      type: 'viewer.closed',
      session: session.id,
      viewer: id,
      connection: 'connection-1',
      epoch: 1,
      reason: 'after the move',
    });
    expect(await again.received('closed')).toMatchObject({ reason: 'after the move' });
    again.send({ type: 'report', connection, report: { freezes: 1 } });
    await sender.received('viewer.report', (mail) => mail.viewer === id);
    expect(again.messages.some(({ type }) => type === 'offer')).toBe(false);
    // Its grace period at the process it came from has expired, too.
    const witness = await playing();
    witness.viewer.ws.terminate();
    await waitFor('the grace time', async () => (await sender.registry.viewers(witness.session.id)).length === 0);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    again.ws.close();
  });

  it('gets a new offer if it names no connection', async () => {
    const { session, viewer, connection, id } = await playing();
    viewer.ws.terminate();
    const again = await TestViewer.join(other, session, viewer.resumeFields);
    expect((await again.received('offer')).connection).not.toBe(connection);
    expect((await sender.viewer(session.id, id)).attempt).toBe(2);
    again.ws.close();
  });

  it('stays for its grace period and is removed afterwards', async () => {
    const { session, viewer } = await playing();
    viewer.ws.terminate();
    await waitFor('the socket to close', () => viewer.closed);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    const before = sender.mail.length;
    await waitFor('the viewer to be removed', async () => (await sender.registry.viewers(session.id)).length === 0);
    await waitFor('the host to be notified', () =>
      sender.mail.slice(before).some((mail) => mail.type === 'viewers.changed' && mail.session === session.id),
    );
  });

  it('joins as a new viewer if it resumes too late', async () => {
    const { session, viewer, id, connection } = await playing();
    viewer.send({ type: 'leave' });
    await waitFor('the viewer to be removed', async () => (await sender.registry.viewers(session.id)).length === 0);
    const again = await TestViewer.join(one, session, { ...viewer.resumeFields, connection });
    expect(again.id).not.toBe(id);
    await again.received('offer');
    again.ws.close();
  });

  it('resumes with an expired token; a new viewer does not join with one', async () => {
    const { session, viewer, id, connection } = await playing();
    const expired = await signToken({ sid: session.id, exp: 1, scope: 'view' }, TOKEN_KEYS);
    viewer.ws.terminate();
    const again = await TestViewer.join(
      other,
      { id: session.id, token: expired },
      { ...viewer.resumeFields, connection },
    );
    expect(again.id).toBe(id);
    const stranger = await TestViewer.connect(other);
    stranger.send({ type: 'join', session: session.id, token: expired });
    expect(await stranger.closure()).toEqual({ code: 4401, reason: 'token_expired' });
    again.ws.close();
  });

  describe('cannot be impersonated', () => {
    /** Joins with another viewer's id. @returns The outcome. */
    async function impersonate(at: TestSignaling, session: { id: string; token: string }, fields: object) {
      const impostor = await TestViewer.connect(at);
      impostor.send({ type: 'join', session: session.id, token: session.token, ...fields });
      const closure = await impostor.closure();
      return { ...closure, messages: impostor.messages };
    }

    it.each(['the same', 'another'])('with its id and another secret at %s process', async (which) => {
      const { session, viewer, connection, id } = await playing();
      const before = await sender.viewer(session.id, id);
      const mails = sender.mail.length;
      const accomplice = await TestViewer.join(one, session);
      const expired = { ...session, token: await signToken({ sid: session.id, exp: 1, scope: 'view' }, TOKEN_KEYS) };
      const secrets = [undefined, '', 'x'.repeat(43), accomplice.resumeFields.resume, session.token.slice(-43)];
      for (const resume of secrets) {
        for (const of of [session, expired]) {
          const fields = { viewer: id, connection, ...(resume !== undefined && { resume }) };
          const attempt = await impersonate(which === 'another' ? other : one, of, fields);
          expect(attempt).toMatchObject({ code: closeCodeOf('resume_refused'), reason: 'resume_refused' });
          expect(attempt.messages).toEqual([expect.objectContaining({ type: 'error', code: 'resume_refused' })]);
        }
      }
      // The victim still receives messages, and its host was told nothing.
      await expectReached(viewer, session.id);
      expect(viewer.closed).toBeUndefined();
      expect(viewer.messages.filter(({ type }) => type === 'error')).toEqual([]);
      expect(await sender.viewer(session.id, id)).toEqual(before);
      const aboutVictim = sender.mail.slice(mails).filter((mail) => 'viewer' in mail && mail.viewer === id);
      expect(aboutVictim).toEqual([]);
      for (const { ws } of [viewer, accomplice]) ws.close();
    });

    it('if it watches over WHEP or does not exist', async () => {
      const { session, viewer } = await playing();
      const whep = newId('vw');
      await sender.registry.putViewer(session.id, whep, 'elsewhere', { limit: 9, offer: 'v=0' });
      const record = await sender.viewer(session.id, whep);
      for (const id of [whep, newId('vw')]) {
        const attempt = await impersonate(other, session, { viewer: id, resume: viewer.resumeFields.resume });
        expect(attempt.reason).toBe('resume_refused');
      }
      expect(await sender.viewer(session.id, whep)).toEqual(record);
      viewer.ws.close();
    });

    it('with its own secret in another session', async () => {
      const { viewer } = await playing();
      const elsewhere = await one.makeSession();
      expect((await impersonate(one, elsewhere, viewer.resumeFields)).reason).toBe('resume_refused');
      viewer.ws.close();
    });
  });

  it('resumes after a key rotation while the old key is still accepted', async () => {
    const { session, viewer, connection, id } = await playing();
    const changed = await stack.signaling({ tokenSecret: ['the-next-secret-of-tests', ...TOKEN_KEYS] });
    const again = await TestViewer.join(changed, session, { ...viewer.resumeFields, connection });
    expect(again.id).toBe(id);
    expect(again.resumeFields.resume).not.toBe(viewer.resumeFields.resume);
    again.ws.close();
    await changed.close();
  });

  it('does not resume with an expired token after its grace period', async () => {
    const { session, viewer } = await playing();
    const { resumeFields } = viewer;
    viewer.send({ type: 'leave' });
    await waitFor('the viewer to be removed', async () => (await sender.registry.viewers(session.id)).length === 0);
    const late = await TestViewer.connect(one);
    const token = await signToken({ sid: session.id, exp: 1, scope: 'view' }, TOKEN_KEYS);
    late.send({ type: 'join', session: session.id, token, ...resumeFields });
    expect(await late.closure()).toEqual({ code: 4401, reason: 'token_expired' });
  });

  it.each(['the same', 'another'])('replaces its older WebSocket at %s process', async (which) => {
    const { session, viewer, connection } = await playing();
    const again = await TestViewer.join(which === 'another' ? other : one, session, {
      ...viewer.resumeFields,
      connection,
    });
    expect(await viewer.closure()).toEqual({ code: closeCodeOf('replaced'), reason: 'replaced' });
    expect(await viewer.received('error')).toMatchObject({ code: 'replaced' });
    await expectReached(again, session.id);
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    again.ws.close();
  });

  it('stays connected if it is wrongly reported as replaced', async () => {
    const { session, viewer, id } = await playing();
    const record = await sender.viewer(session.id, id);
    await sender.send(record, { type: 'viewer.replaced', session: session.id, viewer: id });
    await expectReached(viewer, session.id);
    // This answer uses the same connection as the lookup, so the lookup has been answered, too.
    await one.request('GET', '/v1/sessions');
    viewer.send({ type: 'ping' });
    await viewer.received('pong');
    viewer.ws.close();
  });

  it('keeps the newest WebSocket after moving between processes and back', async () => {
    const { session, viewer, connection } = await playing();
    const there = await TestViewer.join(other, session, { ...viewer.resumeFields, connection });
    const back = await TestViewer.join(one, session, { ...viewer.resumeFields, connection });
    await viewer.closure();
    await there.closure();
    back.send({ type: 'ping' });
    await back.received('pong');
    back.ws.close();
  });

  it('is closed with 1012 when its process stops, and resumes at another', async () => {
    const stopping = await stack.signaling();
    const session = await stopping.makeSession();
    const viewer = await TestViewer.join(stopping, session);
    const { connection } = await viewer.received('offer');
    await stopping.close();
    expect(await viewer.closure()).toMatchObject({ code: 1012 });
    expect(await sender.registry.viewers(session.id)).toHaveLength(1);
    const again = await TestViewer.join(one, session, { ...viewer.resumeFields, connection });
    expect(again.id).toBe(viewer.id);
    again.ws.close();
  });
});
