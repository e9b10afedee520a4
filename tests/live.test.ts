import {
  bgrFrame,
  LIVE_HEADER,
  LivePusher,
  type Producer,
  pushAtPace,
  type Stack,
  ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isGreen, isRed, Scene } from './support/scene.ts';

const SIZE = { width: 320, height: 240 };
const HEADER = { ...LIVE_HEADER, ...SIZE };
const GREEN = bgrFrame(SIZE.width, SIZE.height, [0, 180, 0]);

/** Speech that is played while it is being produced. */
describe('live push', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start({ env: { MAX_SESSIONS: '4' } });
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it('plays while it is being pushed, and can be spoken again afterwards', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    const ready = await pusher.start({ ...HEADER, name: 'green, live' });
    expect(ready.seq).toBe(1);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 6 });
    await waitFor('the green video', () => viewer.see(), isGreen);
    const loud = await viewer.measureAudio(1500, 1000);
    expect(pusher.messages.some((message) => message.type === 'done')).toBe(false);
    expect(loud.rms).toBeGreaterThan(0.03);
    expect(loud.tone / loud.rms).toBeGreaterThan(0.9);
    await pushing.done;
    const done = await pusher.end();
    expect(done).toMatchObject({ segment: ready.segment, frames: 150, durationMs: 6000 });
    expect(await pusher.closed()).toBe(1000);
    await waitFor('idle again', () => viewer.see(), isRed);
    await producer.speak(session.id, [ready.segment]);
    await waitFor('the same again', () => viewer.see(), isGreen);
    const events = await producer.pastEvents(session.id);
    expect(events.find((event) => event.type === 'speech.finished')).toMatchObject({
      segment: ready.segment,
      interrupted: false,
      positionMs: 6000,
    });
    await viewer.page.close();
  });

  it('shows idle while the producer pauses, then plays to its end', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    const { segment } = await pusher.start(HEADER);
    await pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 2 }).done;
    await waitFor('idle meanwhile', () => viewer.see(), isRed);
    pusher.socket.send(JSON.stringify({ type: 'alive' }));
    expect(await producer.pastEvents(session.id)).not.toContainEqual(
      expect.objectContaining({ type: 'speech.finished' }),
    );
    const rest = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 3 });
    await waitFor('the second part', () => viewer.see(), isGreen);
    expect((await viewer.measureAudio(1000, 1000)).rms).toBeGreaterThan(0.03);
    await rest.done;
    expect(await pusher.end()).toMatchObject({ segment, frames: 125, durationMs: 5000 });
    await waitFor('idle again', () => viewer.see(), isRed);
    const speech = (await producer.pastEvents(session.id)).filter(({ type }) => type.startsWith('speech.'));
    expect(speech).toMatchObject([
      { type: 'speech.started', segment },
      { type: 'speech.finished', segment, reason: 'finished', positionMs: 5000 },
    ]);
    await viewer.page.close();
  });

  it('plays in a WHEP player that writes its codec as OPUS/48000', async () => {
    const session = await producer.createSession('lights');
    const page = await scene.newPage();
    await page.goto(producer.signaling('/v1/health')).catch(() => undefined);
    const url = producer.signaling(`/whep/lights?session=${session.id}`);
    const { status, audioLine } = await page.evaluate(
      async ([endpoint, token]) => {
        const peer = new RTCPeerConnection();
        const media = new MediaStream();
        const video = document.createElement('video');
        Object.assign(video, { srcObject: media, autoplay: true, muted: true });
        document.body.append(video);
        peer.ontrack = ({ track }) => media.addTrack(track);
        peer.addTransceiver('audio', { direction: 'recvonly' });
        peer.addTransceiver('video', { direction: 'recvonly' });
        await peer.setLocalDescription(await peer.createOffer());
        while (peer.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 20));
        const response = await fetch(endpoint as string, {
          method: 'POST',
          headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` },
          body: (peer.localDescription?.sdp ?? '').replaceAll('opus/48000/2', 'OPUS/48000'),
        });
        const sdp = await response.text();
        if (response.ok) await peer.setRemoteDescription({ type: 'answer', sdp });
        return { status: response.status, audioLine: sdp.split('\r\n').find((line) => line.startsWith('m=audio')) };
      },
      [url, session.token],
    );
    expect({ status, audioLine }).toMatchObject({ status: 201 });
    expect(audioLine).not.toMatch(/^m=audio 0 /);
    const player = new ViewerPage(page);
    await player.playing();
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    await pusher.start(HEADER);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 20 });
    await waitFor(
      'the tone',
      () => player.measureAudio(500, 1000),
      ({ rms, tone }) => rms > 0.03 && tone / rms > 0.8,
    );
    pushing.stop();
    await page.close();
  });

  it('stops on an interruption, reports it to the producer, and idle shows at once', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    await pusher.start(HEADER);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 20 });
    await waitFor('the green video', () => viewer.see(), isGreen);
    await producer.interrupt(session.id);
    const { positionMs } = await pusher.message('interrupted');
    expect(positionMs).toBeGreaterThan(0);
    await waitFor('idle again', () => viewer.see(), isRed);
    pushing.stop();
    expect((await pusher.end()).frames).toBeGreaterThan(0);
    await viewer.page.close();
  });

  it('ends with the last data received when the producer disappears', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const pusher = await LivePusher.connect(stack, { avatar: 'lights', session: session.id });
    const { segment } = await pusher.start(HEADER);
    const pushing = pushAtPace(pusher, { frame: GREEN, hz: 1000, fps: 25, seconds: 20 });
    await waitFor('the green video', () => viewer.see(), isGreen);
    pushing.stop();
    pusher.socket.terminate();
    await waitFor('idle again', () => viewer.see(), isRed);
    const manifest = await producer.json<{ state: string; frames: number; failure: { code: string } }>(
      'GET',
      `${stack.loaderUrl}/v1/segments/${segment}`,
    );
    expect(manifest).toMatchObject({ state: 'complete', failure: { code: 'producer_gone' } });
    expect(manifest.frames).toBeGreaterThan(0);
    await viewer.page.close();
  });
});
