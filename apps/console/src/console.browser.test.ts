import type { HumanCastElement } from '@humancast/element';
import { accessibilityFindings, launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuiltPage, errorsOf } from '../test/built-page.js';
import { FakeBackend } from '../test/fake-backend.js';

const PLAYING = 'human-cast:state(playing)';

let backend: FakeBackend;
let browser: TestChromium;
let page: Page;
let url: string;
let built: BuiltPage;
let browserErrors: string[];

beforeAll(async () => {
  built = await BuiltPage.build();
  backend = new FakeBackend(built);
  url = await backend.signaling.listen();
  browser = await launchChromium();
  const host = await browser.context.newPage();
  await host.goto(`${url}/host`);
  await backend.signaling.hostReady;
  page = await browser.context.newPage();
  await page.setViewportSize({ width: 390, height: 844 });
  browserErrors = errorsOf(page);
});

afterAll(async () => {
  await browser?.close();
  await backend?.signaling.close();
  built?.remove();
});

const isMuted = (cast: Element) => (cast as HumanCastElement).muted;

/** Ordered: each test continues where the previous one left the page. */
describe('console', () => {
  it('the start page lists the avatars; a click on one starts a conversation', async () => {
    await page.goto(url);
    await page.getByRole('link', { name: 'Front desk' }).waitFor();
    await page.getByRole('link', { name: 'Demo' }).click();
    await page.waitForSelector(PLAYING);
    expect(new URL(page.url()).search).toBe('?avatar=demo');
    expect(backend.created).toHaveLength(1);
  });

  it('the player starts muted; the button and the M key toggle the sound', async () => {
    const muted = () => page.locator('human-cast').evaluate(isMuted);
    expect(await muted()).toBe(true);
    await page.getByRole('button', { name: 'Turn on sound' }).click();
    await page.getByRole('button', { name: 'Sound off' }).waitFor();
    expect(await muted()).toBe(false);
    await page.keyboard.press('m');
    await page.getByRole('button', { name: 'Turn on sound' }).waitFor();
  });

  it('a segment can be spoken, queued and interrupted; the activity card shows each state', async () => {
    await page.getByRole('button', { name: 'Speak: Greeting' }).click();
    await page.locator('.now', { hasText: 'Greeting' }).waitFor();
    await page.getByRole('button', { name: 'Speak: Farewell' }).click();
    await page.locator('.queue', { hasText: 'Farewell' }).waitFor();
    expect(backend.spoken).toEqual(['seg_greeting1', 'seg_farewell']);
    await page.getByRole('button', { name: 'Interrupt' }).click();
    await expect.poll(() => backend.signaling.messagesOf('interrupt').length).toBe(1);
    backend.queue = [];
    backend.finish();
    await page.locator('.now', { hasText: 'Idle' }).waitFor();
  });

  it('captions are on; their button and the C key toggle them', async () => {
    backend.start('seg_greeting1');
    backend.tellText('Good morning.');
    const captions = page.getByRole('log', { name: 'Captions' });
    await captions.getByText('Good morning.').waitFor();
    await page.getByRole('button', { name: 'Captions', pressed: true }).click();
    await captions.waitFor({ state: 'hidden' });
    await page.keyboard.press('c');
    await captions.waitFor();
    backend.finish();
    await page.locator('.now', { hasText: 'Idle' }).waitFor();
  });

  it('the page fits a phone without horizontal scrolling', async () => {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
  });

  it('a refresh returns to the same session', async () => {
    await page.reload();
    await page.waitForSelector(PLAYING);
    expect(backend.created).toHaveLength(1);
    const joined = backend.signaling.messagesOf('join').map(({ session }) => session);
    expect(joined).toEqual([backend.created[0], backend.created[0]]);
    expect(backend.signaling.messagesOf('leave')).toHaveLength(1);
  });

  it('a refresh after the session has ended creates a new session', async () => {
    backend.signaling.rejection = 'session_ended';
    await page.reload();
    await page.waitForSelector(PLAYING);
    expect(backend.created).toHaveLength(2);
    expect(backend.signaling.messagesOf('join').at(-1)?.session).toBe(backend.created[1]);
  });

  it('a typed text is sent and unmutes the player; the text box shows “Thinking” until speech starts', async () => {
    expect(await page.getByPlaceholder('Type a sentence').count()).toBe(0);
    backend.canSay = true;
    await page.reload();
    await page.waitForSelector(PLAYING);
    const box = page.getByRole('textbox');
    await box.fill('My name is Mimi.');
    expect(await page.locator('human-cast').evaluate(isMuted)).toBe(true);
    await box.press('Enter');
    expect(await box.inputValue()).toBe('');
    await page.getByPlaceholder('Thinking').waitFor();
    await expect.poll(() => page.locator('human-cast').evaluate(isMuted)).toBe(false);
    expect(backend.texts).toEqual(['My name is Mimi.']);
    backend.start('seg_said0001');
    await page.locator('.now', { hasText: 'My name is Mimi.' }).waitFor();
    await page.getByPlaceholder('Type a sentence').waitFor();
  });

  it('typing interrupts current speech once, at the first key', async () => {
    const before = backend.signaling.messagesOf('interrupt').length;
    await page.getByRole('textbox').pressSequentially('Next');
    await expect.poll(() => backend.signaling.messagesOf('interrupt').length).toBe(before + 1);
    backend.finish();
    await page.locator('.now', { hasText: 'Idle' }).waitFor();
    await page.getByRole('textbox').press('Enter');
    await expect.poll(() => backend.texts.at(-1)).toBe('Next');
    expect(backend.signaling.messagesOf('interrupt')).toHaveLength(before + 1);
    backend.refusal = { status: 503, code: 'no_capacity' };
    await page.getByRole('textbox').fill('Once more');
    await page.getByRole('textbox').press('Enter');
    await page.getByRole('alert').getByText('Too many avatars are speaking').waitFor();
    backend.refusal = undefined;
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    browserErrors.length = 0; // The browser logs the intended rejection.
  });

  it('the player keeps its shape for a video of another aspect ratio, and shows the whole video', async () => {
    const box = () => page.locator('.player').boundingBox();
    const before = await box();
    await page.locator('video').evaluate((video) => {
      Object.defineProperties(video, { videoWidth: { value: 640 }, videoHeight: { value: 640 } });
      video.dispatchEvent(new Event('resize'));
    });
    await expect
      .poll(() => page.locator('video').evaluate((video) => getComputedStyle(video).objectFit))
      .toBe('contain');
    expect(await box()).toEqual(before);
  });

  it('a paused player shows a button, which resumes playback', async () => {
    await page.locator('video').evaluate((video: HTMLVideoElement) => video.pause());
    await page.waitForSelector('human-cast:state(paused)');
    await page.getByRole('button', { name: 'Tap to play' }).click();
    await page.waitForSelector(PLAYING);
  });

  it('the page works under a path prefix', async () => {
    // Stops the requests of the previous page.
    await page.goto('about:blank');
    backend.prefix = '/avatars/live';
    backend.paths.length = 0;
    await page.goto(`${url}/avatars/live/`);
    await page.getByRole('link', { name: 'Demo' }).click();
    await page.waitForSelector(PLAYING);
    expect(new URL(page.url()).pathname).toBe('/avatars/live/');
    // Chromium may still be fetching the icon of the previous page.
    const outside = backend.paths.filter((path) => !path.startsWith('/avatars/live/') && path !== '/favicon.svg');
    expect(outside).toEqual([]);
    await page.goto(`${url}/?avatar=demo`);
    await page.waitForSelector(PLAYING);
  });

  it('the page requested only its own server, and violated no content security policy', () => {
    expect(browserErrors).toEqual([]);
  });

  it('a rejected session shows the reason and what to do', async () => {
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

  it.each([
    ['a conversation', '/?avatar=demo', PLAYING],
    ['the start page', '/', '.avatar-card'],
    ['/embed', '/embed.html?session=ses_12345678&token=token', PLAYING],
  ])('axe-core finds nothing on %s', async (_, path, shown) => {
    await page.goto('about:blank');
    await page.goto(`${url}${path}`);
    await page.waitForSelector(shown);
    expect(await accessibilityFindings(page)).toEqual([]);
  });
});
