import { type Credentials, type Producer, type Stack, TurnClient, type ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene, senderProcess } from './support/scene.ts';

/** The real page in a real browser, while its media-sender fails. */
describe('page whose media-sender fails', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start({ senders: 2 });
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it.each(['SIGKILL', 'SIGTERM'] as const)('resumes after %s without a reload', async (signal) => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    await viewer.page.evaluate(() => Object.assign(window, { marked: true }));
    const host = await producer.hostOf(session.id);
    const victim = senderProcess(stack, host);
    victim.signal(signal);
    await waitFor(
      'another media-sender hosts the session',
      () => producer.session(session.id),
      (now) => now.state === 'hosted' && now.host !== host,
    );
    // Counts only open connections, so these frames come from the new host.
    const frames = async () => (await viewer.see()).framesDecoded;
    await victim.ended;
    await waitFor(
      'the old connection is closed',
      () => openPeers(viewer),
      (count) => count === 1,
    );
    const before = await frames();
    await waitFor('the video continues', frames, (count) => count > before + 30);
    expect(await viewer.page.evaluate(() => 'marked' in window)).toBe(true);
    await viewer.page.close();
    await stack.revive(victim);
  });
});

/** TTL of TURN credentials: shorter than any viewing time, long enough to connect on a busy machine. */
const TTL_SECONDS = 10;

describe('page that has watched longer than its TURN credentials are valid', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start({ senders: 2, env: { TURN_TTL_SECONDS: String(TTL_SECONDS) } });
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it('resumes with new credentials when its media-sender is killed', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const [first] = await credentialsOf(viewer);
    if (!first) throw new Error('the page has no relay');
    const expired = () => Date.now() / 1000 > Number.parseInt(first.username, 10) + 1;
    await waitFor(
      'the credentials to expire',
      async () => expired(),
      (is) => is,
      3000 * TTL_SECONDS,
    );
    const old = new TurnClient(stack.turn?.port ?? 0, first);
    expect(await old.allocate(), 'coturn rejects them').toBe(401);
    old.close();
    const watched = (await viewer.see()).framesDecoded;
    await waitFor(
      'the video continues on the old connection',
      async () => (await viewer.see()).framesDecoded,
      (count) => count > watched + 15,
    );

    const host = await producer.hostOf(session.id);
    const victim = senderProcess(stack, host);
    victim.signal('SIGKILL');
    await victim.ended;
    await waitFor(
      'the old connection is closed, because the new one plays',
      async () => [await openPeers(viewer), (await credentialsOf(viewer)).length],
      ([open, made = 0]) => open === 1 && made > 1,
      60_000,
    );
    const before = (await viewer.see()).framesDecoded;
    await waitFor(
      'the video continues',
      async () => (await viewer.see()).framesDecoded,
      (count) => count > before + 30,
    );
    const latest = (await credentialsOf(viewer)).at(-1);
    expect(Number.parseInt(latest?.username ?? '', 10)).toBeGreaterThan(Number.parseInt(first.username, 10));
    await viewer.page.close();
  });
});

/** Configurations of the page's peer connections, oldest first. */
async function credentialsOf({ page }: ViewerPage): Promise<Credentials[]> {
  const servers = await page.evaluate(() =>
    (window as unknown as { peers: RTCPeerConnection[] }).peers.map((peer) => peer.getConfiguration().iceServers?.[0]),
  );
  return servers.map((server) => ({ username: server?.username ?? '', password: String(server?.credential ?? '') }));
}

function openPeers({ page }: ViewerPage): Promise<number> {
  return page.evaluate(
    () =>
      (window as unknown as { peers: RTCPeerConnection[] }).peers.filter((peer) => peer.connectionState !== 'closed')
        .length,
  );
}
