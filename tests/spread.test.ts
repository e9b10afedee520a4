import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestClip, type Producer, type Stack, type ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isGreen, Scene, senderProcess } from './support/scene.ts';

/** One session, whose viewers are served by several media-senders. */
describe('pages of one session on different media-senders', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start({ senders: 2, env: { HOST_VIEWERS: '1', MAX_VIEWERS: '10' } });
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it('show the same, also after one of them lost its media-sender, which hosted the session', async () => {
    const session = await producer.createSession('lights');
    // The host serves the first viewer, and whoever has more capacity the second.
    const near = await scene.watch(session);
    const far = await scene.watch(session);
    const host = await producer.hostOf(session.id);
    const senders = stack.processes.filter(({ name }) => name === 'media-sender');
    const [follower, ...others] = senders.filter((sender) => sender.log().includes('following session'));
    expect(follower?.log()).toContain(`"host":"${host}"`);
    expect(others).toHaveLength(0);

    const file = join(stack.mediaDir, '../green.mp4');
    makeTestClip(file, { color: 'green', seconds: 40 });
    const { id } = await producer.upload('lights', 'green.mp4', readFileSync(file));
    await producer.speak(session.id, [id]);
    for (const viewer of [near, far]) await waitFor('the speech to be seen', () => viewer.see(), isGreen);

    const victim = senderProcess(stack, host);
    victim.signal('SIGKILL');
    await victim.ended;
    await waitFor(
      'the follower hosts the session',
      () => producer.session(session.id),
      (now) => now.state === 'hosted' && now.host !== host,
    );
    for (const viewer of [near, far]) {
      const before = (await viewer.see()).framesDecoded;
      await waitFor(
        'the speech continues',
        () => viewer.see(),
        (seen) => isGreen(seen) && seen.framesDecoded > before + 30,
      );
    }
    expect(await madePeers(far), 'the viewer of the other media-sender kept its connection').toBe(1);
    expect(await madePeers(near)).toBeGreaterThan(1);
    await producer.interrupt(session.id);
    for (const viewer of [near, far])
      await waitFor(
        'idle to be seen',
        () => viewer.see(),
        (seen) => !isGreen(seen),
      );
  });
});

/** @returns How many peer connections the page has made. */
function madePeers({ page }: ViewerPage): Promise<number> {
  return page.evaluate(() => (window as unknown as { peers: RTCPeerConnection[] }).peers.length);
}
