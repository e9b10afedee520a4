import { join } from 'node:path';
import {
  bgrFrame,
  LIVE_HEADER,
  LivePusher,
  makeTestClip,
  type Producer,
  pushAtPace,
  type ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isBlue, isGreen, isRed, Scene } from './support/scene.ts';

const SIZE = { width: 320, height: 240 };
const GREEN = bgrFrame(SIZE.width, SIZE.height, [0, 180, 0]);

/** Idle is red, and blue while the avatar thinks. */
describe('idle states', () => {
  let scene: Scene;
  let producer: Producer;
  let session: { id: string; token: string };
  let viewer: ViewerPage;

  beforeAll(async () => {
    scene = await Scene.start({ senders: 2 });
    ({ producer } = scene);
    makeTestClip(join(scene.stack.mediaDir, 'lights/idle.thinking/blue.mp4'), { color: 'blue', seconds: 2 });
    await waitFor(
      'the clips of the state',
      () =>
        producer.json<{ idleStates: Record<string, string[]> }>('GET', `${scene.stack.loaderUrl}/v1/avatars/lights`),
      ({ idleStates }) => idleStates['thinking']?.length === 1,
    );
    session = await producer.createSession('lights');
    viewer = await scene.watch(session);
  });

  afterAll(() => scene?.stop());

  it('are shown as the producer sets them, and kept when the session moves', async () => {
    await waitFor('idle', () => viewer.see(), isRed);
    await producer.setState(session.id, 'thinking');
    await waitFor('thinking', () => viewer.see(), isBlue);
    const host = await producer.hostOf(session.id);
    await producer.json('POST', producer.signaling(`/v1/senders/${host}/drain`));
    await waitFor(
      'another host',
      () => producer.session(session.id),
      (now) => now.state === 'hosted' && now.host !== host,
    );
    await waitFor('thinking still', () => viewer.see(), isBlue);
    await producer.setState(session.id, 'idle');
    await waitFor('idle again', () => viewer.see(), isRed);
    const states = (await producer.pastEvents(session.id)).filter(({ type }) => type === 'session.state');
    expect(states.map(({ state }) => state)).toEqual(['thinking', 'idle']);
  });

  it('a push that pauses shows that the avatar thinks, and idle after it', async () => {
    const pusher = await LivePusher.connect(scene.stack, { avatar: 'lights', session: session.id });
    await pusher.start({ ...LIVE_HEADER, ...SIZE });
    await pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 2 }).done;
    await waitFor('thinking', () => viewer.see(), isBlue);
    const rest = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 3 });
    await waitFor('the second part', () => viewer.see(), isGreen);
    await rest.done;
    await pusher.end();
    await waitFor('idle', () => viewer.see(), isRed);
    expect((await producer.session(session.id)).idleState).toBe('idle');
  });
});
