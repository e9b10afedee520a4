import { Buffer } from 'node:buffer';
import type { RenditionConfig } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { launchChromium, type TestChromium } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useLoaderFixture } from '../../testing/loader-fixture.js';

const VP8: RenditionConfig = { id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 500_000 };
const TIMEOUT_MS = 60_000;

interface Recording {
  readonly webm: string;
  readonly seconds: number;
}

/** Chromium's `MediaRecorder` writes WebM without a duration, with a nominal frame rate that is its clock's. */
describe('SegmentLoader with a recording of Chromium', () => {
  const fixture = useLoaderFixture();
  let browser: TestChromium;
  beforeAll(async () => {
    browser = await launchChromium();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await browser.close();
  });

  /**
   * Records a canvas with a tone for three seconds.
   * @param movesFrom Time from which the canvas changes, s.
   */
  async function record(movesFrom: number): Promise<{ manifest: SegmentManifest; seconds: number }> {
    const page = await browser.context.newPage();
    const { webm, seconds } = (await page.evaluate(`(${recordCanvas})(${movesFrom})`)) as Recording;
    await page.close();
    const path = await fixture.clips.bytes(`recording-${movesFrom}.webm`, Buffer.from(webm, 'base64'));
    const manifest = await fixture.load([path], ([video = -1]) => ({ video, audio: undefined }), { renditions: [VP8] });
    return { manifest, seconds };
  }

  it.each([
    ['that moves', 0],
    ['that moves late', 2],
    ['that never changes', Number.MAX_SAFE_INTEGER],
  ])(
    'keeps the frame rate and the length of a canvas %s',
    async (_, movesFrom) => {
      const { manifest, seconds } = await record(movesFrom);
      const fps = manifest.fps.num / manifest.fps.den;
      // The page draws every 33 ms, so at most 30.3 frames a second; the file's nominal rate says 58.8.
      expect(fps).toBeLessThanOrEqual(31);
      // The last frame is shown until the audio ends.
      expect(manifest.durationSamples / 48_000).toBeGreaterThan(seconds - 0.7);
      if (movesFrom === 0) expect(Math.abs(manifest.frames / fps - seconds)).toBeLessThan(0.7);
    },
    TIMEOUT_MS,
  );
});

/** Runs in the page. */
const recordCanvas = `async (movesFrom) => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [320, 240];
  const context = canvas.getContext('2d');
  context.fillRect(0, 0, 320, 240);
  const stream = canvas.captureStream(30);
  const audio = new AudioContext();
  const [tone, target] = [audio.createOscillator(), audio.createMediaStreamDestination()];
  tone.connect(target);
  tone.start();
  stream.addTrack(target.stream.getAudioTracks()[0]);
  const recorder = new MediaRecorder(stream, { mimeType: 'video/webm;codecs=vp8,opus' });
  const chunks = [];
  recorder.ondataavailable = ({ data }) => chunks.push(data);
  const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
  recorder.start();
  const startedMs = performance.now();
  const timer = setInterval(() => {
    const seconds = (performance.now() - startedMs) / 1000;
    if (seconds < movesFrom) return;
    context.fillStyle = 'hsl(' + Math.round(seconds * 90) + ' 80% 50%)';
    context.fillRect(0, 0, 320, 240);
  }, 33);
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const seconds = (performance.now() - startedMs) / 1000;
  recorder.stop();
  clearInterval(timer);
  await stopped;
  const bytes = new Uint8Array(await new Blob(chunks).arrayBuffer());
  let text = '';
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return { webm: btoa(text), seconds };
}`;
