import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestClip, Producer, type Stack, startStack, ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isBlue, isGreen, isRed, Scene } from './support/scene.ts';

/** From files in a folder to video in a browser, with real Redis, coturn and Chromium. */
describe('playback in a browser', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    scene = await Scene.start(
      { senders: 2, env: { MAX_SESSIONS: '4' } },
      { '1 red.mp4': { color: 'red', seconds: 2 }, '2 blue.mp4': { color: 'blue', seconds: 2, fps: '25' } },
    );
    ({ stack, producer } = scene);
  });

  afterAll(() => scene?.stop());

  it('a new page plays the idle clips in turn without a freeze', async () => {
    const viewer = await scene.open('/?avatar=lights');
    await viewer.playing();
    const colors = new Set<string>();
    const first = await viewer.see();
    const last = await waitFor(
      'both idle clips were seen, twice around',
      async () => {
        const seen = await viewer.see();
        if (isRed(seen)) colors.add('red');
        if (isBlue(seen)) colors.add('blue');
        return seen;
      },
      ({ framesReceived }) => colors.size === 2 && framesReceived - first.framesReceived > 220,
    );
    // Alternately 30 and 25 frames a second; a gap between two files would lower the rate.
    const perSecond = (last.framesReceived - first.framesReceived) / ((last.atMs - first.atMs) / 1000);
    expect(perSecond).toBeGreaterThan(26.5);
    expect(perSecond).toBeLessThan(28.5);
    expect(last.framesDecoded).toBeGreaterThan(200);
    await viewer.page.close();
  });

  it('an uploaded file is spoken with video and audio, and idle resumes', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const path = join(stack.mediaDir, 'green.mp4');
    makeTestClip(path, { color: 'green', seconds: 3, toneHz: 1000 });
    const segment = await producer.upload('lights', 'green.mp4', readFileSync(path));
    expect(segment).toMatchObject({ frames: 90 });
    expect(Math.abs((segment.durationMs ?? 0) - 3000)).toBeLessThan(60);
    const quiet = await viewer.measureAudio(300, 1000);
    await producer.speak(session.id, [segment.id]);
    const [seen, loud] = await Promise.all([
      waitFor('the green video', () => viewer.see(), isGreen),
      viewer.measureAudio(2500, 1000),
    ]);
    expect(isGreen(seen)).toBe(true);
    expect(quiet.rms).toBeLessThan(0.003);
    expect(loud.rms).toBeGreaterThan(0.03);
    expect(loud.tone / loud.rms).toBeGreaterThan(0.9);
    await waitFor(
      'idle again',
      () => viewer.see(),
      (now) => isRed(now) || isBlue(now),
    );
    const events = await producer.pastEvents(session.id);
    const speech = events.filter((event) => event.type.startsWith('speech.'));
    expect(speech.map((event) => event.type)).toEqual(['speech.started', 'speech.finished']);
    expect(speech[1]).toMatchObject({ segment: segment.id, interrupted: false });
    await viewer.page.close();
  });

  it('an interruption stops speech and returns the position', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const path = join(stack.mediaDir, 'long.mp4');
    makeTestClip(path, { color: 'green', seconds: 20, toneHz: 1000 });
    const segment = await producer.upload('lights', 'long.mp4', readFileSync(path));
    await producer.speak(session.id, [segment.id]);
    await waitFor('the green video', () => viewer.see(), isGreen);
    await producer.interrupt(session.id);
    await waitFor(
      'idle again',
      () => viewer.see(),
      (now) => isRed(now) || isBlue(now),
    );
    // Audio buffered by the browser may play for a moment.
    await waitFor(
      'silence',
      () => viewer.measureAudio(200, 1000),
      ({ rms }) => rms < 0.003,
      3000,
    );
    const finished = (await producer.pastEvents(session.id)).filter((event) => event.type === 'speech.finished');
    expect(finished).toHaveLength(1);
    expect(finished[0]).toMatchObject({ segment: segment.id, interrupted: true, reason: 'interrupted' });
    expect(finished[0]?.['positionMs']).toBeLessThan(19_000);
    await viewer.page.close();
  });

  it('viewers of two sessions are served by two media-senders at once', async () => {
    // Capacity 1 each, so that the second session needs the other one.
    const pair = await startStack({ senders: 2, mediaDir: stack.mediaDir, env: { MAX_SESSIONS: '1' } });
    try {
      const backend = new Producer(pair);
      await waitFor(
        'an idle clip is loaded',
        () => backend.idleCount('lights'),
        (count) => count > 0,
      );
      const sessions = [await backend.createSession('lights'), await backend.createSession('lights')];
      const viewers = await Promise.all(
        sessions.map(async ({ id, token }) =>
          ViewerPage.open(await scene.newPage(), backend.signaling(`/?session=${id}&token=${token}`)),
        ),
      );
      await Promise.all(viewers.map((viewer) => viewer.playing()));
      const hosts = await Promise.all(sessions.map(async ({ id }) => (await backend.session(id)).host));
      expect(new Set(hosts).size).toBe(2);
      for (const viewer of viewers) await viewer.page.close();
    } finally {
      await pair.stop();
    }
  });

  it('closing the page frees the session', async () => {
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    await producer.endSession(session.id);
    await waitFor(
      'the sessions to end',
      () =>
        producer
          .request('GET', producer.signaling(`/v1/sessions/${session.id}`))
          .then((r) => r.json() as Promise<{ state?: string; code?: string }>),
      (body) => body.state === 'ended' || body.code === 'session_not_found',
    );
    await viewer.page.close();
  });
});
