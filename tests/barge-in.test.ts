import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTestClip, type Producer, type ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isBlue, isGreen, isRed, Scene, senderProcess } from './support/scene.ts';

/** Silence before the viewer speaks, and after it for longer than the test. */
const [BEFORE_MS, AFTER_SECONDS] = [8000, 120];

/** Idle is red; the avatar listens in blue, and speaks in green. */
describe('barge-in by voice', () => {
  let folder: string;
  let scene: Scene;
  let producer: Producer;
  let session: { id: string; token: string; microphoneToken?: string | undefined };
  let viewer: ViewerPage;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-barge-in-'));
    const voice = join(folder, 'voice.wav');
    const said = execFileSync('espeak-ng', ['-v', 'en-us', '--stdout', 'Wait, I have another question for you.']);
    const filter = `adelay=${BEFORE_MS},apad=pad_dur=${AFTER_SECONDS}`;
    const output = ['-af', filter, '-ar', '48000', '-ac', '1', voice];
    execFileSync('ffmpeg', ['-v', 'error', '-i', 'pipe:0', ...output], { input: said });
    scene = await Scene.start({}, undefined, [
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${voice}%noloop`,
    ]);
    ({ producer } = scene);
    makeTestClip(join(scene.stack.mediaDir, 'lights/idle.listening/blue.mp4'), { color: 'blue', seconds: 2 });
    makeTestClip(join(scene.stack.mediaDir, 'lights/segments/long.mp4'), { color: 'green', seconds: 40, toneHz: 440 });
    await waitFor(
      'the clips of the state',
      () => producer.json<{ idleStates: object }>('GET', `${scene.stack.loaderUrl}/v1/avatars/lights`),
      ({ idleStates }) => 'listening' in idleStates,
    );
    session = await producer.json('POST', producer.signaling('/v1/sessions'), {
      avatar: 'lights',
      microphone: true,
      bargeIn: 'stop',
    });
  });

  afterAll(async () => {
    await scene?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('a viewer without the right to speak sees no microphone', async () => {
    const watching = await scene.watch(session);
    expect(await watching.page.getByRole('button', { name: 'Microphone' }).count()).toBe(0);
    expect(await watching.page.getByRole('region', { name: 'Microphone' }).count()).toBe(0);
    await watching.page.close();
  });

  it('a voice stops the avatar, which listens, in a new turn', async () => {
    const segment = await producer.segmentNamed(session.id, 'long');
    viewer = await scene.watch({ id: session.id, token: session.microphoneToken ?? '' });
    await microphoneButton(false).click();
    await microphoneButton(true).waitFor();
    await producer.speak(session.id, [segment]);
    await waitFor('the speech', () => viewer.see(), isGreen);
    await waitFor('listening', () => viewer.see(), isBlue, 30_000);
    const phase = viewer.page.getByRole('region', { name: 'Microphone' }).getByRole('status');
    await phase.getByText('Listening').waitFor();
    await phase.getByText('Thinking').waitFor();
    await waitFor('idle', () => viewer.see(), isRed);
    const events = await producer.pastEvents(session.id);
    const find = (type: string) => events.find((event) => event.type === type);
    const speaking = find('viewer.speaking');
    expect(find('session.interrupted')).toMatchObject({ turn: 1, viewer: speaking?.['viewer'] });
    expect(speaking).toMatchObject({ playing: { segment, role: 'speech' } });
    expect(find('speech.finished')).toMatchObject({ segment, reason: 'interrupted' });
    const playing = speaking?.['playing'] as { positionMs: number } | undefined;
    // What the viewer was hearing when it began to speak was played before the stop.
    expect(find('speech.finished')?.['positionMs']).toBeGreaterThanOrEqual(playing?.positionMs ?? Number.NaN);
    expect(events.filter(({ type }) => type === 'viewer.speaking')).toHaveLength(1);
    const { metricsUrl } = senderProcess(scene.stack, await producer.hostOf(session.id));
    const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
    expect(/^humancast_sender_barge_ins_total\{(?=.*stop)(?=.*confirmed).*\} (\d+)$/m.exec(metrics)?.[1]).toBe('1');
  });

  it('the microphone is muted, and then held to talk', async () => {
    await microphoneButton(true).click();
    await microphoneButton(false).waitFor();
    await viewer.page.getByRole('checkbox', { name: 'Hold to talk' }).check();
    await viewer.page.getByRole('button', { name: 'Hold to talk', pressed: false }).focus();
    await viewer.page.keyboard.down('Space');
    await viewer.page.getByRole('button', { name: 'Hold to talk', pressed: true }).waitFor();
    await viewer.page.keyboard.up('Space');
    await viewer.page.getByRole('button', { name: 'Hold to talk', pressed: false }).waitFor();
  });

  const microphoneButton = (pressed: boolean) => viewer.page.getByRole('button', { name: 'Microphone', pressed });
});
