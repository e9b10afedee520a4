import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { HeardFrame } from '@humancast/producer';
import { makeTestClip, type Producer, type Stack, ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Scene, senderProcess } from './support/scene.ts';

/** Frames that are heard before the next step: a second, in which the echo gate learns that there is no echo. */
const ENOUGH_FRAMES = 50;

/** A viewer's microphone, whose page says something when it is told to, while its media-sender fails. */
describe('voice of a viewer whose session moves', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;
  let voice: string;

  beforeAll(async () => {
    voice = execFileSync('espeak-ng', ['-v', 'en-us', '--stdout', 'Wait, I have another question.']).toString('base64');
    scene = await Scene.start({ senders: 2 });
    ({ stack, producer } = scene);
    makeTestClip(join(stack.mediaDir, 'lights/segments/long.mp4'), { color: 'green', seconds: 60, toneHz: 440 });
  });

  afterAll(() => scene?.stop());

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'is heard by the next host after %s, and stops its speech',
    async (signal) => {
      const session = await producer.json<{ id: string; microphoneToken: string }>(
        'POST',
        producer.signaling('/v1/sessions'),
        { avatar: 'lights', microphone: true, bargeIn: 'stop' },
      );
      const stop = new AbortController();
      const heard: HeardFrame[] = [];
      const listen = async () => {
        for await (const frame of producer.listen(session.id, { signal: stop.signal })) heard.push(frame);
      };
      onTestFinished(() => stop.abort());
      // It ends with the test, or else nothing is heard any more.
      listen().catch(() => {});
      const viewer = await openPage(session);
      onTestFinished(() => viewer.page.close());
      const ofEpoch = (epoch: number) => heard.filter((frame) => frame.epoch === epoch);
      await waitFor('the voice', () => ofEpoch(1).length >= ENOUGH_FRAMES);
      const segment = await producer.segmentNamed(session.id, 'long');
      await producer.speak(session.id, [segment]);
      const speaks = () => producer.session(session.id);
      await waitFor('the speech', speaks, ({ playhead }) => playhead?.role === 'speech');

      const victim = senderProcess(stack, await producer.hostOf(session.id));
      victim.signal(signal);
      onTestFinished(async () => {
        await victim.ended;
        await stack.revive(victim);
      });
      await waitFor('the voice at the next host', () => ofEpoch(2).length >= ENOUGH_FRAMES, undefined, 60_000);
      await victim.ended;
      const [last, next] = [ofEpoch(1).at(-1), ofEpoch(2)[0]];
      expect(heard.map(({ epoch }) => epoch)).toEqual(heard.map(({ epoch }) => epoch).toSorted());
      const missingMs = (next?.atMs ?? Number.NaN) - (last?.atMs ?? Number.NaN) - 20;
      expect(next?.gapMs ?? 0).toBe(Math.max(0, missingMs));
      // A host that is killed is replaced only when its lease has expired.
      if (signal === 'SIGKILL') expect(next?.gapMs).toBeGreaterThan(100);
      await waitFor('the speech at the next host', speaks, ({ playhead }) => playhead?.role === 'speech');
      expect((await producer.pastEvents(session.id)).map(({ type }) => type)).not.toContain('session.interrupted');

      const find = async (type: string) => (await producer.pastEvents(session.id)).find((event) => event.type === type);
      const interrupted = await waitFor('the interruption', async () => {
        await viewer.page.evaluate(() => (window as unknown as { say: () => Promise<void> }).say());
        return find('session.interrupted');
      });
      expect(interrupted).toMatchObject({ turn: 1 });
      const speaking = await waitFor('the onset', () => find('viewer.speaking'));
      expect(speaking).toMatchObject({ viewer: interrupted['viewer'], playing: { segment, role: 'speech' } });
      const finished = await waitFor('the end of the speech', () => find('speech.finished'));
      expect(finished).toMatchObject({ segment, reason: 'interrupted' });
    },
  );

  /** Opens the session's page, and its microphone: `say()` in the page says {@link voice}, and resolves when it has been said. */
  async function openPage({ id, microphoneToken }: { id: string; microphoneToken: string }): Promise<ViewerPage> {
    const page = await scene.newPage();
    await page.addInitScript((wav) => {
      navigator.mediaDevices.getUserMedia = async () => {
        const context = new AudioContext();
        const output = context.createMediaStreamDestination();
        // A microphone is never entirely silent, and so it always sends.
        const noise = context.createBuffer(1, context.sampleRate, context.sampleRate);
        const samples = Float32Array.from({ length: noise.length }, () => 0.001 * (2 * Math.random() - 1));
        noise.copyToChannel(samples, 0);
        const room = new AudioBufferSourceNode(context, { buffer: noise, loop: true });
        room.connect(output);
        room.start();
        const buffer = await context.decodeAudioData(Uint8Array.from(atob(wav), (char) => char.charCodeAt(0)).buffer);
        const say = () =>
          new Promise((resolve) => {
            const source = new AudioBufferSourceNode(context, { buffer });
            source.connect(output);
            source.onended = resolve;
            source.start();
          });
        Object.assign(window, { say });
        return output.stream;
      };
    }, voice);
    const viewer = await ViewerPage.open(page, producer.signaling(`/?session=${id}&token=${microphoneToken}`));
    await viewer.playing();
    await page.getByRole('button', { name: 'Microphone' }).click();
    return viewer;
  }
});
