import { join } from 'node:path';
import {
  bgrFrame,
  LivePusher,
  launchChromium,
  pushAtPace,
  type Stack,
  startStack,
  type TestChromium,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, Producer } from './support/api.js';
import { makeClip } from './support/clips.js';
import { type Seen, ViewerPage } from './support/viewer-page.js';

const SIZE = { width: 320, height: 240 };
const HEADER = {
  type: 'start',
  fps: 25,
  ...SIZE,
  pixelFormat: 'bgr24',
  sampleRate: 24_000,
  sampleFormat: 'f32',
} as const;
const GREEN = bgrFrame(SIZE.width, SIZE.height, [0, 180, 0]);

const isRed = ({ red, green, blue }: Seen) => red > 150 && green < 90 && blue < 90;
const isGreen = ({ red, green, blue }: Seen) => green > 90 && red < 90 && blue < 90;

/** Speech that is played while it is still being made. */
describe('live push', () => {
  let stack: Stack;
  let browser: TestChromium;
  let producer: Producer;

  beforeAll(async () => {
    stack = await startStack({ env: { MAX_SESSIONS: '4' } });
    producer = new Producer(stack);
    makeClip(join(stack.mediaDir, 'lights/idle/1 red.mp4'), { colour: 'red', seconds: 2 });
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

  const watch = async (session: { id: string; token: string }) => {
    const url = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    const viewer = await ViewerPage.open(await browser.context.newPage(), url);
    await viewer.playing();
    return viewer;
  };

  it('is seen and heard while it is still being pushed, and can be said again after', async () => {
    const session = await producer.createSession('lights');
    const viewer = await watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    const ready = await pusher.start({ ...HEADER, name: 'green, live' });
    expect(ready.seq).toBe(1);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 6 });
    await eventually('the green picture', () => viewer.see(), isGreen);
    const loud = await viewer.hear(1500, 1000);
    expect(pusher.heard.some((message) => message.type === 'done')).toBe(false);
    expect(loud.rms).toBeGreaterThan(0.03);
    expect(loud.tone / loud.rms).toBeGreaterThan(0.9);
    await pushing.done;
    const done = await pusher.end();
    expect(done).toMatchObject({ segment: ready.segment, frames: 150, durationMs: 6000 });
    expect(await pusher.closed()).toBe(1000);
    await eventually('idle again', () => viewer.see(), isRed);
    await producer.speak(session.id, [ready.segment]);
    await eventually('the same again', () => viewer.see(), isGreen);
    const events = await producer.events(session.id);
    expect(events.find((event) => event.type === 'speech.finished')).toMatchObject({
      segment: ready.segment,
      interrupted: false,
      positionMs: 6000,
    });
    await viewer.page.close();
  });

  it('tells the producer that it was interrupted, and shows idle at once', async () => {
    const session = await producer.createSession('lights');
    const viewer = await watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    await pusher.start(HEADER);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 20 });
    await eventually('the green picture', () => viewer.see(), isGreen);
    await producer.interrupt(session.id);
    const { positionMs } = await pusher.hear('interrupted');
    expect(positionMs).toBeGreaterThan(0);
    await eventually('idle again', () => viewer.see(), isRed);
    pushing.stop();
    expect((await pusher.end()).frames).toBeGreaterThan(0);
    await viewer.page.close();
  });

  it('ends at what arrived when the producer disappears', async () => {
    const session = await producer.createSession('lights');
    const viewer = await watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    const { segment } = await pusher.start(HEADER);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 20 });
    await eventually('the green picture', () => viewer.see(), isGreen);
    pushing.stop();
    pusher.socket.terminate();
    await eventually('idle again', () => viewer.see(), isRed);
    const manifest = await producer.json<{ state: string; frames: number; failure: { code: string } }>(
      'GET',
      `${stack.loaderUrl}/v1/segments/${segment}`,
    );
    expect(manifest).toMatchObject({ state: 'complete', failure: { code: 'producer_gone' } });
    expect(manifest.frames).toBeGreaterThan(0);
    await viewer.page.close();
  });
});
