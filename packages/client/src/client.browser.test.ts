import { fileURLToPath } from 'node:url';
import { launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSignaling } from '../test/fake-signaling.js';
import type { Session } from './session.js';

/** A page as an embedder writes it, which also records every frame it shows. */
const PAGE = `<!doctype html><title>viewer</title><video id="avatar"></video><script type="module">
import { connect } from '/client.js';
const video = document.getElementById('avatar');
window.session = connect({ session: 'ses_12345678', token: 'token', video });
window.stats = [];
window.states = [];
window.colors = [];
session.on('stats', (next) => stats.push(next));
session.on('state', (state) => states.push(state));
const context = Object.assign(document.createElement('canvas'), { width: 4, height: 4 })
  .getContext('2d', { willReadFrequently: true });
(function sample() {
  context.clearRect(0, 0, 4, 4);
  context.drawImage(video, 0, 0, 4, 4);
  const [red, green, , alpha] = context.getImageData(2, 2, 1, 1).data;
  const color = alpha === 0 ? 'nothing' : red > 150 ? 'red' : green > 150 ? 'green' : 'other';
  if (colors.at(-1) !== color) colors.push(color);
  requestAnimationFrame(sample);
})();
</script>`;

declare global {
  // biome-ignore-start lint/suspicious/noVar: what the page above declares
  var session: Session;
  var stats: { skewMs: number | undefined; fps: number }[];
  var states: string[];
  var colors: string[];
  // biome-ignore-end lint/suspicious/noVar: as above
}

let signaling: FakeSignaling;
let browser: TestChromium;
let page: Page;

beforeAll(async () => {
  const script = await bundle();
  signaling = new FakeSignaling((request, response) => {
    if (request.url === '/client.js') response.setHeader('content-type', 'text/javascript').end(script);
    else response.setHeader('content-type', 'text/html').end(PAGE);
  });
  const url = await signaling.listen();
  browser = await launchChromium();
  const host = await browser.context.newPage();
  await host.goto(`${url}/host`);
  await signaling.hostReady;
  page = await browser.context.newPage();
  await page.goto(url);
  await page.waitForFunction(() => session.state === 'playing');
});

afterAll(async () => {
  await browser?.close();
  await signaling?.close();
});

/** Whether the element keeps presenting frames; that a decoder runs does not prove it. */
function presentsFrames(): Promise<boolean> {
  return page.evaluate(async () => {
    const video = document.querySelector('video');
    const frames = () => video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    const before = frames();
    for (let look = 0; look < 50 && frames() < before + 15; look++) await new Promise((next) => setTimeout(next, 100));
    return frames() >= before + 15;
  });
}

async function bundle(): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      lib: { entry: fileURLToPath(new URL('index.ts', import.meta.url)), formats: ['es'], fileName: 'client' },
    },
  });
  const [first] = Array.isArray(output) ? output : [output];
  if (!first || !('output' in first)) throw new Error('nothing was built');
  return first.output[0].code;
}

/** The tests depend on their order: each continues the session of the one before it. */
describe('Session in Chromium', () => {
  it('plays the offered media, muted', async () => {
    await page.waitForFunction(() => colors.at(-1) === 'red');
    expect(await page.evaluate(() => document.querySelector('video')?.muted)).toBe(true);
    expect(signaling.messagesOf('answer')).toHaveLength(1);
    expect(signaling.messagesOf('candidate').length).toBeGreaterThan(0);
  });

  it('plays on without the WebSocket, and resumes without a new connection', async () => {
    signaling.dropSockets();
    await expect.poll(() => signaling.messagesOf('join').length, { timeout: 10_000 }).toBe(2);
    expect(signaling.messagesOf('join')[1]).toMatchObject({ viewer: 'vw_12345678', connection: 'connection-0' });
    expect(await page.evaluate(() => states)).toEqual(['playing']);
    expect(signaling.connections).toEqual(['connection-0']);
  });

  it('changes hosts without an empty frame, and closes the old connection', async () => {
    signaling.move('#00ff00');
    await page.waitForFunction(() => colors.at(-1) === 'green');
    const seen = await page.evaluate(() => colors.slice(colors.indexOf('red')));
    expect(seen).toEqual(['red', 'green']);
    expect(await presentsFrames()).toBe(true);
    expect(await page.evaluate(() => states)).toEqual(['playing']);
  });

  it('requests a new connection when media stops, and plays it', async () => {
    signaling.color = '#ff0000';
    signaling.silence('connection-1');
    await page.waitForFunction(() => colors.at(-1) === 'red');
    expect(signaling.messagesOf('reconnect')).toEqual([{ type: 'reconnect', connection: 'connection-1' }]);
    expect(await page.evaluate(() => states)).toEqual(['playing', 'reconnecting', 'playing']);
    expect(await page.evaluate(() => colors.slice(colors.indexOf('red')))).toEqual(['red', 'green', 'red']);
  });

  it('measures the skew within seconds, and reports it', async () => {
    await page.waitForFunction(() => stats.at(-1)?.skewMs !== undefined, undefined, { timeout: 20_000 });
    await expect
      .poll(() => signaling.messagesOf('report').at(-1)?.report.skewMs, { timeout: 5000 })
      .toBeTypeOf('number');
    const { report } = signaling.messagesOf('report').at(-1) ?? {};
    expect(report).toMatchObject({ roundTripMs: expect.any(Number), jitterBufferMs: { audio: expect.any(Number) } });
  });

  it('leaves when the page is closed', async () => {
    await page.goto('about:blank');
    await expect.poll(() => signaling.messagesOf('leave').length).toBe(1);
  });
});
