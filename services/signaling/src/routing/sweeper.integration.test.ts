import { keys, newId, SessionRegistry } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

describe('Sweeper', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  it('moves the sessions of a dead media-sender once, whichever process sweeps', async () => {
    const timings = { senderSweepMs: 50, sessionSweepMs: 60_000 };
    const [one] = await Promise.all([stack.signaling({}, timings), stack.signaling({}, timings)]);
    const first = await FakeSender.start(stack.queueUrl);
    const session = await one.makeSession();
    const viewer = await TestViewer.join(one, session);
    await viewer.received('offer');
    await first.crash();
    const second = await FakeSender.start(stack.queueUrl);
    const offer = await viewer.received('offer', ({ epoch }) => epoch > 1);
    expect(offer.epoch).toBe(2);
    expect(second.epochOf(session.id)).toBe(2);
    viewer.send({ type: 'answer', connection: offer.connection, sdp: 'v=0' });
    await second.received('viewer.answer');
    await viewer.received('event', ({ event }) => event.type === 'session.moved' && event.host === second.id);
    expect(await stack.queue.zscore(keys.senderIndex, first.id)).toBeNull();
    viewer.ws.close();
    await second.stop();
  });

  it('takes nothing from a media-sender that repeatedly recovers while suspected', async () => {
    const signaling = await stack.signaling({}, { senderSweepMs: 20, sessionSweepMs: 60_000 });
    const sender = await FakeSender.start(stack.queueUrl);
    const session = await signaling.makeSession();
    const viewer = await TestViewer.join(signaling, session);
    await viewer.received('offer');
    const suspicionOf = () => stack.queue.hget(keys.senderFence(sender.id), 'suspect');
    for (let i = 0; i < 3; i++) {
      await waitFor('it to be suspected', async () => {
        // Simulates a forward step of Redis's clock: only the heartbeat has expired.
        await stack.queue.del(keys.sender(sender.id));
        return (await suspicionOf()) !== null;
      });
      await waitFor('the suspicion to be withdrawn', async () => (await suspicionOf()) === null);
    }
    expect(sender.epochOf(session.id)).toBe(1);
    expect(await sender.registry.get(session.id)).toMatchObject({ state: 'hosted', host: sender.id, epoch: 1 });
    viewer.ws.close();
    await sender.stop();
    await signaling.close();
  });

  it('ends only sessions that nobody joined', async () => {
    const past = new SessionRegistry(stack.queue, () => Date.now() - 60_000);
    const overdue = newId('ses');
    const watched = newId('ses');
    const fresh = newId('ses');
    await past.create(overdue, 'demo');
    await past.create(watched, 'demo');
    const registry = new SessionRegistry(stack.queue);
    const sweeping = await stack.signaling({ sessionJoinTimeoutSeconds: 10 }, { sessionSweepMs: 20 });
    await registry.create(fresh, 'demo');
    await registry.putViewer(watched, newId('vw'), (await someMailbox()) ?? '', { limit: 1 });
    await waitFor('the session to end', async () => (await registry.get(overdue)).state === 'ended');
    expect((await registry.get(overdue)).endReason).toBe('not-joined');
    expect((await registry.get(fresh)).state).toBe('new');
    expect((await registry.get(watched)).state).not.toBe('ended');
    await sweeping.close();
  });

  it('removes viewers of dead processes that did not resume; WHEP viewers play on', async () => {
    const registry = new SessionRegistry(stack.queue);
    const session = newId('ses');
    const [viewer, player] = [newId('vw'), newId('vw')];
    await registry.create(session, 'demo');
    await registry.putViewer(session, viewer, 'sig_whichIsGone', { limit: 9 });
    await registry.putViewer(session, player, 'sig_whichIsGone', { limit: 9, offer: 'v=0' });
    const sweeping = await stack.signaling({}, { sessionSweepMs: 20, orphanGraceMs: 100 });
    await waitFor('the viewer to be removed', async () => (await registry.viewers(session)).length === 1);
    await waitFor('the player to be adopted', async () => {
      const [left] = await registry.viewers(session);
      return left?.viewer === player && left.mailbox !== 'sig_whichIsGone';
    });
    await sweeping.close();
  });

  async function someMailbox(): Promise<string | undefined> {
    const [key] = await stack.queue.keys('hc:{mb:sig_*');
    return /mb:([^}]+)/.exec(key ?? '')?.[1];
  }
});
