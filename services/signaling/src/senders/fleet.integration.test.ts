import { newId, SessionRegistry } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { Queue, Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

describe('Fleet', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  beforeAll(async () => {
    stack = await TestStack.start();
    signaling = await stack.signaling();
  });
  afterAll(() => stack.stop());

  it('drains a media-sender only for an operator', async () => {
    const sender = await FakeSender.start(stack.queueUrl);
    const path = `/v1/senders/${sender.id}/drain`;
    expect((await signaling.request('POST', path, { auth: '' })).status).toBe(401);
    const reply = await signaling.request('POST', path);
    expect(reply.status).toBe(202);
    expect(reply.body).toEqual({ id: sender.id, draining: true });
    await sender.received('sender.drain');
    await sender.stop();
    const gone = await signaling.request('POST', `/v1/senders/${newId('snd')}/drain`);
    expect(gone.status).toBe(404);
    expect(gone.body.code).toBe('sender_not_found');
  });

  it('rejects a caller that does not wait while every media-sender is full; others wait', async () => {
    const sender = await FakeSender.start(stack.queueUrl, { capacity: 1 });
    const create = (wait?: boolean) => signaling.request('POST', '/v1/sessions', { body: { avatar: 'demo', wait } });
    await waitFor('the sender to be seen', async () => (await create(false)).status === 201);
    const viewer = await TestViewer.join(signaling, await signaling.makeSession());
    await viewer.received('offer');
    const rejection = async () => {
      const { status, body, headers } = await create(false);
      return { status, code: body.code, retryAfter: headers.get('retry-after') };
    };
    await waitFor('the fleet to be full', async () => (await rejection()).status === 503);
    expect(await rejection()).toEqual({ status: 503, code: 'no_capacity', retryAfter: '5' });
    expect((await create()).status).toBe(201);
    const waiting = await TestViewer.join(signaling, await signaling.makeSession());
    expect(await waiting.received('waiting')).toMatchObject({ position: 1 });
    viewer.ws.close();
    waiting.ws.close();
    await sender.stop();
  });

  it('ignores the capacity of a media-sender that accepts no sessions', async () => {
    const busy = await FakeSender.start(stack.queueUrl, { accepting: false });
    const create = () => signaling.request('POST', '/v1/sessions', { body: { avatar: 'demo', wait: false } });
    await waitFor('the fleet to be full', async () => (await create()).status === 503);
    const idle = await FakeSender.start(stack.queueUrl);
    await waitFor('capacity', async () => (await create()).status === 201);
    await busy.stop();
    await idle.stop();
  });

  it('requests a host again if the media-sender that took the job died before its claim', async () => {
    const registry = new SessionRegistry(stack.queue, () => Date.now() - 60_000);
    const session = newId('ses');
    await registry.create(session, 'demo');
    await registry.putViewer(session, newId('vw'), 'sig_anyone', { limit: 1 });
    expect(await registry.requestHost(session)).toBe(1);
    const queue = new Queue('sessions', { connection: { url: stack.queueUrl }, prefix: '{hc:bull}' });
    await queue.add('host', { session, epoch: 1 }, { jobId: `${session}-1` });
    // Takes the job, as a worker that dies right afterwards.
    const worker = new Worker('sessions', null, { connection: { url: stack.queueUrl }, prefix: '{hc:bull}' });
    await waitFor('the job to be taken', async () => (await worker.getNextJob('token'))?.id === `${session}-1`);
    await worker.close(true);
    const sender = await FakeSender.start(stack.queueUrl);
    const sweeping = await stack.signaling({}, { sessionSweepMs: 20 });
    await waitFor('another host', async () => sender.hosts(session) && sender.epochOf(session) === 2);
    await sweeping.close();
    await queue.close();
    await sender.stop();
  });
});
