import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestClip, type ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isGreen, isRed, Scene } from './support/scene.ts';

/** The JavaScript path runs where node:ffi is not available. All other tests run on the native path. */
describe('playback in a browser with PACKET_PATH=javascript', () => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await Scene.start({ env: { PACKET_PATH: 'javascript' } });
  });

  afterAll(() => scene?.stop());

  it('has video and audio in sync, and the log and the metric say which path is used', async () => {
    const { stack, producer } = scene;
    const session = await producer.createSession('lights');
    const viewer = await scene.watch(session);
    const path = join(stack.mediaDir, 'green.mp4');
    makeTestClip(path, { color: 'green', seconds: 8, toneHz: 1000 });
    const segment = await producer.upload('lights', 'green.mp4', readFileSync(path));
    await producer.speak(session.id, [segment.id]);
    const [loud] = await Promise.all([
      viewer.measureAudio(4000, 1000),
      waitFor('the green video', () => viewer.see(), isGreen),
      waitFor(
        'video and audio are in sync',
        () => skewMs(viewer),
        (ms) => Math.abs(ms) < 60,
      ),
    ]);
    expect(loud.rms).toBeGreaterThan(0.03);
    expect(loud.tone / loud.rms).toBeGreaterThan(0.9);
    await waitFor('idle again', () => viewer.see(), isRed);
    const sender = stack.processes.find(({ name }) => name === 'media-sender');
    expect(sender?.log()).toMatch(/"packetPath":"javascript".*packet path chosen/);
    const metrics = await (await fetch(`${sender?.metricsUrl}/metrics`)).text();
    expect(metrics).toMatch(/^humancast_sender_packet_path\{.*path="javascript".*\} 1$/m);
    expect(metrics).not.toMatch(/path="native"/);
    await viewer.page.close();
  });
});

/** @returns video minus audio in ms by Chromium's own estimate; NaN until it has one. */
function skewMs({ page }: ViewerPage): Promise<number> {
  return page.evaluate(async () => {
    const peer = (window as unknown as { peers: RTCPeerConnection[] }).peers.at(-1);
    const rows = [...((await peer?.getStats())?.values() ?? [])].filter(({ type }) => type === 'inbound-rtp');
    const [audio, video] = ['audio', 'video'].map((kind) => rows.find((row) => row.kind === kind));
    return (audio?.estimatedPlayoutTimestamp ?? Number.NaN) - (video?.estimatedPlayoutTimestamp ?? Number.NaN);
  });
}
