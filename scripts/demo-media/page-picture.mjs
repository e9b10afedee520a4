// Makes docs/images/transparent.png: examples/page/plain.html in Chromium and Firefox, while the demo avatar speaks without a
// background: `node scripts/demo-media/page-picture.mjs [file]`, after `npm run build`. Needs what `npm test` needs.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  launchChromium,
  launchFirefox,
  ownAddress,
  Producer,
  spawnTied,
  startStack,
  waitFor,
  withCleanup,
} from '@humancast/testkit';

/** @import { Cleanup } from '@humancast/testkit' */

const VTT = `WEBVTT

00:00.000 --> 00:01.900
Hello, and welcome to humancast!

00:01.900 --> 00:06.300
I am a digital human, live in your browser.
`;
const CAPTION = 'I am a digital human, live in your browser.';
/** Time from the caption to a moment at which she speaks with open eyes, ms. */
const INTO_CAPTION_MS = 1300;
const RENDITION = { id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 4_000_000 };
const SIZE = { width: 800, height: 720 };
/** Between the pictures, px. */
const GAP = 20;

const path = (/** @type {string} */ file) => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const [output = path('docs/images/transparent.png')] = process.argv.slice(2);
await withCleanup(makePicture);

/** @param {Cleanup} cleanup */
async function makePicture(cleanup) {
  const scratch = mkdtempSync(join(tmpdir(), 'humancast-picture-'));
  cleanup.add(() => rmSync(scratch, { recursive: true }));
  const clips = join(scratch, 'face');
  const render = ['--transparent', clips, 'smiling', 'welcome'];
  execFileSync(process.execPath, [path('scripts/demo-media/render.mjs'), ...render], { stdio: 'inherit' });

  const port = String(await freePort());
  const origin = `http://127.0.0.1:${port}`;
  const stack = await startStack({ senders: 1, mediaAddress: ownAddress(), env: { ALLOWED_ORIGINS: origin } });
  cleanup.add(() => stack.stop());
  const producer = new Producer(stack);
  await producer.json('PUT', `${stack.loaderUrl}/v1/avatars/face`, { alpha: 'stack', renditions: [RENDITION] });
  const upload = (/** @type {string} */ file, text = '') =>
    producer.uploadSegment('face', new Blob([readFileSync(join(clips, file))]), { name: file, text });
  execFileSync('cp', ['-r', clips, stack.mediaDir]);
  await producer.idleLoaded('face', 1, 60_000);
  const { id } = await upload('segments/welcome.webm', VTT);

  const env = { PORT: port, AVATAR: 'face', HUMANCAST_URL: stack.signalingUrl, HUMANCAST_API_KEY: stack.apiKey };
  const site = spawnTied(process.execPath, [path('examples/page/serve.mjs')], { stdio: 'inherit', env });
  cleanup.add(() => void site.kill());
  await waitFor('the page is served', () => isServed(origin), Boolean);

  // One after the other, because a busy machine drops frames.
  const pictures = [];
  for (const name of ['Chromium', 'Firefox']) {
    const { page, close } = name === 'Chromium' ? await openChromium() : await openFirefox();
    await page.goto(origin);
    const read = (/** @type {string} */ expression) =>
      page.evaluate(`((cast) => ${expression})(document.querySelector('human-cast'))`);
    await waitFor(
      'video plays',
      () => read('cast.state'),
      (state) => state === 'playing',
    );
    await read('cast.unmute()');
    await producer.speak(String(await read('cast.session')), [id]);
    await waitFor(
      'its caption',
      () => read(`cast.shadowRoot.querySelector('[part~=captions]')?.textContent`),
      (text) => text === CAPTION,
    );
    await read(`new Promise((resolve) => setTimeout(() => resolve(true), ${INTO_CAPTION_MS}))`);
    const file = join(scratch, `${name}.png`);
    writeFileSync(file, await page.screenshot());
    pictures.push(file);
    await close();
  }
  const gap = `[0]format=rgba,pad=iw+${GAP}:ih:0:0:black@0[left];[1]format=rgba[right];[left][right]hstack`;
  const beside = ['-filter_complex', gap, '-frames:v', '1', '-compression_level', '100'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...pictures.flatMap((file) => ['-i', file]), ...beside, output]);
}

/**
 * @typedef {object} OpenPage
 * @property {{ goto(url: string): Promise<unknown>; evaluate(expression: string): Promise<unknown>; screenshot(): Promise<Buffer> }} page
 * @property {() => Promise<void>} close
 */

/** @returns {Promise<OpenPage>} */
async function openChromium() {
  const browser = await launchChromium({ handleSignals: false });
  const page = await browser.context.newPage();
  await page.setViewportSize(SIZE);
  return { page, close: () => browser.close() };
}

/** @returns {Promise<OpenPage>} */
async function openFirefox() {
  const browser = await launchFirefox();
  const page = await browser.newPage();
  await page.setViewport(SIZE);
  return { page, close: () => browser.close() };
}

/** @param {string} url */
async function isServed(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
