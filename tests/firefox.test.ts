import { join } from 'node:path';
import {
  type FirefoxPage,
  launchFirefox,
  makeTestClip,
  ownAddress,
  Producer,
  type Stack,
  startStack,
  type TestFirefox,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { senderProcess } from './support/scene.ts';

/** Counts the frames that the page's video element presents, independently of its statistics. */
const COUNT_FRAMES = `(() => {
  const video = document.querySelector('video');
  window.presented = 0;
  const count = () => { window.presented++; video.requestVideoFrameCallback(count); };
  video.requestVideoFrameCallback(count);
})()`;

describe('page in Firefox', () => {
  let stack: Stack;
  let browser: TestFirefox;
  let producer: Producer;

  beforeAll(async () => {
    stack = await startStack({ senders: 2, mediaAddress: ownAddress() });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2 });
    browser = await launchFirefox();
    await producer.idleLoaded('lights');
  });

  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });

  const presented = (page: FirefoxPage) => page.evaluate<number>('window.presented');
  const pill = (page: FirefoxPage) => page.evaluate<string>(`document.querySelector('.pill')?.textContent ?? ''`);

  it.each(['SIGKILL', 'SIGTERM'] as const)('presents new frames after its media-sender got %s', async (signal) => {
    const session = await producer.createSession('lights');
    const page = await browser.newPage();
    await page.goto(producer.signaling(`/?session=${session.id}&token=${session.token}`));
    await page.evaluate(COUNT_FRAMES);
    await waitFor(
      'frames are presented',
      () => presented(page),
      (count) => count > 20,
    );
    expect(await pill(page)).toBe('Live');
    const host = await producer.hostOf(session.id);
    const victim = senderProcess(stack, host);
    victim.signal(signal);
    await victim.ended;
    await waitFor(
      'another media-sender hosts the session, and the page shows it',
      async () => [(await producer.session(session.id)).host, await pill(page)],
      ([now, words]) => now !== host && words === 'Live',
    );
    const before = await presented(page);
    await waitFor(
      'new frames are presented',
      () => presented(page),
      (count) => count > before + 60,
    );
    await page.close();
    await stack.revive(victim);
  });
});
