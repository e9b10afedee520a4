import { join } from 'node:path';
import { launchChromium, type Stack, type StackProcess, startStack, type TestChromium } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, Producer } from './support/api.js';
import { makeClip } from './support/clips.js';
import { ViewerPage } from './support/viewer-page.js';

/** The real page in a real browser, while its media-sender goes. What light viewers can't show: the page goes on by itself. */
describe('a page whose media-sender goes', () => {
  let stack: Stack;
  let browser: TestChromium;
  let producer: Producer;

  beforeAll(async () => {
    stack = await startStack({ senders: 2 });
    producer = new Producer(stack);
    makeClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { colour: 'red', seconds: 2 });
    browser = await launchChromium();
    await eventually(
      'the idle clip is loaded',
      () => producer.idleCount('lights'),
      (count) => count === 1,
    );
  });

  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('goes on by itself after %s, without a reload', async (signal) => {
    const session = await producer.createSession('lights');
    const url = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    const viewer = await ViewerPage.open(await browser.context.newPage(), url);
    await viewer.playing();
    await viewer.page.evaluate(() => Object.assign(window, { marked: true }));
    const { host } = await producer.session(session.id);
    const victim = hostProcess(host);
    victim.signal(signal);
    await eventually(
      'another media-sender hosts the session',
      () => producer.session(session.id),
      (now) => now.state === 'hosted' && now.host !== host,
    );
    // Only connections that are still open are counted: these frames come from the new host.
    const frames = async () => (await viewer.see()).framesDecoded;
    await victim.ended;
    await eventually(
      'the old connection is closed',
      () => openPeers(viewer),
      (count) => count === 1,
    );
    const before = await frames();
    await eventually('the picture moves on', frames, (count) => count > before + 30);
    expect(await viewer.page.evaluate(() => 'marked' in window)).toBe(true);
    await viewer.page.close();
    await stack.revive(victim);
  });

  function hostProcess(host: string): StackProcess {
    const found = stack.processes.find(({ name, log }) => name === 'media-sender' && log().includes(host));
    if (!found) throw new Error(`no process is ${host}`);
    return found;
  }
});

function openPeers({ page }: ViewerPage): Promise<number> {
  return page.evaluate(
    () =>
      (window as unknown as { peers: RTCPeerConnection[] }).peers.filter((peer) => peer.connectionState !== 'closed')
        .length,
  );
}
