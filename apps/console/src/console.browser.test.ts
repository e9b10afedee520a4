import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeBackend } from '../test/fake-backend.js';

const PLAYING = '.pill[data-state=playing]';

let backend: FakeBackend;
let browser: Browser;
let page: Page;
let url: string;
let dist: string;
/** What the browser complained about: a refused script, a missing file, an exception. */
const complaints: string[] = [];

beforeAll(async () => {
  dist = mkdtempSync(join(tmpdir(), 'humancast-console-'));
  await build({
    root: fileURLToPath(new URL('..', import.meta.url)),
    logLevel: 'silent',
    build: { outDir: dist, emptyOutDir: true },
  });
  backend = new FakeBackend(dist);
  url = await backend.signaling.listen();
  browser = await chromium.launch({
    executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const host = await browser.newPage();
  await host.goto(`${url}/host`);
  await backend.signaling.hostReady;
  page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
});

afterAll(async () => {
  await browser?.close();
  await backend?.signaling.close();
  if (dist) rmSync(dist, { recursive: true, force: true });
});

/** In this order: each goes on where the one before it left the page. */
describe('the console', () => {
  it('lists the avatars, and a conversation is one click away', async () => {
    await page.goto(url);
    await page.getByRole('link', { name: 'Front desk' }).waitFor();
    await page.getByRole('link', { name: 'Demo' }).click();
    await page.waitForSelector(PLAYING);
    expect(new URL(page.url()).search).toBe('?avatar=demo');
    expect(backend.created).toHaveLength(1);
  });

  it('plays muted at first, and turns the sound on when asked', async () => {
    const muted = () => page.evaluate(() => document.querySelector('video')?.muted);
    expect(await muted()).toBe(true);
    await page.getByRole('button', { name: 'Turn on sound' }).click();
    await page.getByRole('button', { name: 'Sound off' }).waitFor();
    expect(await muted()).toBe(false);
    await page.keyboard.press('m');
    await page.getByRole('button', { name: 'Turn on sound' }).waitFor();
  });

  it('makes the avatar speak, shows what it says and what comes next, and interrupts it', async () => {
    await page.getByRole('button', { name: 'Speak: Greeting' }).click();
    await page.locator('.now', { hasText: 'Greeting' }).waitFor();
    await page.getByRole('button', { name: 'Speak: Farewell' }).click();
    await page.locator('.queue', { hasText: 'Farewell' }).waitFor();
    expect(backend.spoken).toEqual(['seg_greeting1', 'seg_farewell']);
    await page.getByRole('button', { name: 'Interrupt' }).click();
    await expect.poll(() => backend.signaling.saidOf('interrupt').length).toBe(1);
    backend.queue = [];
    backend.finish();
    await page.locator('.now', { hasText: 'Idle' }).waitFor();
  });

  it('fits a phone', async () => {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
  });

  it('returns to the same session after a refresh', async () => {
    await page.reload();
    await page.waitForSelector(PLAYING);
    expect(backend.created).toHaveLength(1);
    const joined = backend.signaling.saidOf('join').map(({ session }) => session);
    expect(joined).toEqual([backend.created[0], backend.created[0]]);
    expect(backend.signaling.saidOf('leave')).toHaveLength(1);
  });

  it('makes a new session when the one before is over', async () => {
    backend.signaling.refusal = 'session_ended';
    await page.reload();
    await page.waitForSelector(PLAYING);
    expect(backend.created).toHaveLength(2);
    expect(backend.signaling.saidOf('join').at(-1)?.session).toBe(backend.created[1]);
  });

  it('says what is typed, turns the sound on for it, and shows that it thinks until it is heard', async () => {
    expect(await page.getByPlaceholder('Type a sentence').count()).toBe(0);
    backend.canSay = true;
    await page.reload();
    await page.waitForSelector(PLAYING);
    const box = page.getByRole('textbox');
    await box.fill('My name is Mimi.');
    expect(await page.evaluate(() => document.querySelector('video')?.muted)).toBe(true);
    await box.press('Enter');
    expect(await box.inputValue()).toBe('');
    await page.getByPlaceholder('Thinking').waitFor();
    await expect.poll(() => page.evaluate(() => document.querySelector('video')?.muted)).toBe(false);
    expect(backend.said).toEqual(['My name is Mimi.']);
    backend.start('seg_said0001');
    await page.locator('.now', { hasText: 'My name is Mimi.' }).waitFor();
    await page.getByPlaceholder('Type a sentence').waitFor();
  });

  it('stops what is being said at the first key of what is typed next, and once', async () => {
    const before = backend.signaling.saidOf('interrupt').length;
    await page.getByRole('textbox').pressSequentially('Next');
    await expect.poll(() => backend.signaling.saidOf('interrupt').length).toBe(before + 1);
    backend.finish();
    await page.locator('.now', { hasText: 'Idle' }).waitFor();
    await page.getByRole('textbox').press('Enter');
    await expect.poll(() => backend.said.at(-1)).toBe('Next');
    expect(backend.signaling.saidOf('interrupt')).toHaveLength(before + 1);
    backend.refusal = { status: 503, code: 'no_capacity' };
    await page.getByRole('textbox').fill('Once more');
    await page.getByRole('textbox').press('Enter');
    await page.getByRole('alert').getByText('Everyone is speaking at once').waitFor();
    backend.refusal = undefined;
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    complaints.length = 0; // The browser writes down the refusal that was meant.
  });

  it('keeps the shape of its box when a video of another shape comes, and shows all of it', async () => {
    const box = () => page.locator('.player').boundingBox();
    const before = await box();
    await page.evaluate(() => {
      const video = document.querySelector('video');
      Object.defineProperties(video, { videoWidth: { value: 640 }, videoHeight: { value: 640 } });
      video?.dispatchEvent(new Event('resize'));
    });
    await expect.poll(() => page.locator('.player').getAttribute('data-fit')).toBe('contain');
    expect(await box()).toEqual(before);
    expect(await page.locator('video').evaluate((video) => getComputedStyle(video).objectFit)).toBe('contain');
  });

  it('asks for a tap when the browser does not let it play, and plays then', async () => {
    await page.evaluate(() => document.querySelector('video')?.pause());
    await page.getByText('Paused').waitFor();
    await page.getByRole('button', { name: 'Tap to play' }).click();
    await page.waitForSelector(PLAYING);
  });

  it('works under a path prefix', async () => {
    // The page before asks for nothing any more.
    await page.goto('about:blank');
    backend.prefix = '/avatars/live';
    backend.paths.length = 0;
    await page.goto(`${url}/avatars/live/`);
    await page.getByRole('link', { name: 'Demo' }).click();
    await page.waitForSelector(PLAYING);
    expect(new URL(page.url()).pathname).toBe('/avatars/live/');
    // Chromium may still be fetching the icon of the page before.
    const outside = backend.paths.filter((path) => !path.startsWith('/avatars/live/') && path !== '/favicon.svg');
    expect(outside).toEqual([]);
    await page.goto(`${url}/?avatar=demo`);
    await page.waitForSelector(PLAYING);
  });

  it('asked for nothing but its own server, and broke none of its rules', () => {
    expect(complaints).toEqual([]);
  });

  it('says what is wrong and what can be done when no session can be had', async () => {
    backend.refusal = { status: 401, code: 'unauthorized' };
    await page.evaluate(() => sessionStorage.clear());
    await page.reload();
    await page.getByRole('alert').getByText('may not start a conversation').waitFor();
    backend.refusal = { status: 503, code: 'session_limit' };
    await page.reload();
    await page.getByRole('alert').getByText('Everyone is busy').waitFor();
    backend.refusal = undefined;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForSelector(PLAYING);
  });
});
