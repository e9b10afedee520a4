import { accessibilityFindings, launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSignaling } from '../../client/test/fake-signaling.js';
import { serveElement } from '../test/bundle.js';
import type { HumanCastElement } from './human-cast-element.js';

const PAGE = `<!doctype html><html lang="en"><title>page</title><style>human-cast { width: 480px }</style>
<script type="module" src="/element.js"></script>
<main><h1>Page</h1>
<human-cast session="ses_12345678" token="token" mic><label>Name <input></label></human-cast></main>
<script>
window.changes = [];
document.querySelector('human-cast').addEventListener('micchange', ({ detail }) => changes.push(detail));
</script>`;
/** Headers of a page that allows no inline styles and no HTML in scripts. */
const POLICY =
  "script-src 'self' 'unsafe-inline'; style-src 'nonce-none' 'unsafe-hashes'; require-trusted-types-for 'script'";
/** The browser's fake devices beep. */
const BEEP = 0.01;
/** Browsers take only localhost for secure without HTTPS. */
const INSECURE_HOST = 'viewer.test';
/** Longer than a click, ms. */
const A_WHILE_MS = 600;

declare global {
  var changes: string[];
}

let signaling: FakeSignaling;
let browser: TestChromium;
let host: Page;
let page: Page;
let url: string;
let requested: readonly string[];

beforeAll(async () => {
  const site = await serveElement(PAGE, { 'content-security-policy': POLICY });
  requested = site.requested;
  signaling = new FakeSignaling(site.handle);
  url = await signaling.listen();
  browser = await launchChromium({
    args: ['--use-fake-device-for-media-stream', `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`],
  });
  host = await browser.context.newPage();
  await host.goto(`${url}/host`);
  await signaling.hostReady;
  page = await browser.context.newPage();
  await open();
});

afterAll(async () => {
  await browser?.close();
  await signaling?.close();
});

const open = async (address = url) => {
  await page.goto(address);
  await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(playing)'));
};
const element = <T>(read: (element: HumanCastElement) => T) =>
  page.locator('human-cast').evaluate(read as (element: Element) => T) as Promise<T>;
const button = (name = 'Microphone') => page.getByRole('button', { name });
const pressed = (name?: string) => button(name).getAttribute('aria-pressed');
const alert = () => page.getByRole('alert').textContent();
const isRecorded = () => element((cast) => cast.matches(':state(mic)'));
const heard = () => host.evaluate<number>('heard()');
const chunks = () => requested.filter((path) => path.includes('microphone'));

/** The tests depend on their order: each continues the session of the one before it. */
describe('the microphone of <human-cast> in Chromium', () => {
  it('has no button, and is not loaded, for a viewer without the right to speak', async () => {
    expect(await button().count()).toBe(0);
    expect(chunks()).toEqual([]);
  });

  it('has a button, also without other controls, for a viewer that may speak', async () => {
    signaling.canSpeak = true;
    await open();
    await button().waitFor();
    expect(chunks()).toHaveLength(1);
    expect([await pressed(), await isRecorded(), await alert()]).toEqual(['false', false, '']);
  });

  it('says what to do when the browser refuses it, and can be tried again', async () => {
    await button().click();
    await expect
      .poll(alert)
      .toBe('The browser does not let this page use the microphone. Allow it in the address bar, then try again.');
    expect([await pressed(), await isRecorded()]).toEqual(['false', false]);
    await browser.context.grantPermissions(['microphone'], { origin: url });
    await button().click();
    await expect.poll(() => pressed()).toBe('true');
    expect([await alert(), await isRecorded()]).toEqual(['', true]);
    await expect.poll(heard).toBeGreaterThan(BEEP);
    expect(await page.evaluate(() => changes)).toEqual(['starting', 'off', 'starting', 'on']);
  });

  it('shows how loud it is', async () => {
    const level = () =>
      button().evaluate((shown) => Number(getComputedStyle(shown).getPropertyValue('--human-cast-level')));
    await expect.poll(level).toBeGreaterThan(0.3);
  });

  it('axe-core finds nothing while it is on', async () => {
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  it('is muted and opened by a click and the key V, which the page’s own fields keep', async () => {
    await button().click();
    await expect.poll(() => pressed()).toBe('false');
    await expect.poll(heard).toBeLessThan(BEEP / 10);
    await page.keyboard.press('v');
    await expect.poll(() => pressed()).toBe('true');
    await page.keyboard.press('Enter');
    await expect.poll(() => pressed()).toBe('false');
    await page.getByLabel('Name').pressSequentially('vera');
    expect(await page.getByLabel('Name').inputValue()).toBe('vera');
    expect([await pressed(), await isRecorded()]).toEqual(['false', false]);
  });

  it('another device can be chosen, and does not unmute it', async () => {
    await button().focus();
    const devices = page.getByRole('combobox', { name: 'Device' });
    const [, other] = await devices.locator('option').allTextContents();
    await devices.selectOption(other ?? '');
    const recorded = () =>
      devices.evaluate((select: HTMLSelectElement) => select.selectedOptions[0]?.textContent ?? 'none');
    await expect.poll(recorded).toBe(other);
    expect(await pressed()).toBe('false');
    await button().click();
    await expect.poll(heard).toBeGreaterThan(BEEP);
    await button().click();
  });

  it('is on while it is held, with `mic="hold"`: by a pointer, wherever it lets go', async () => {
    await element((cast) => {
      cast.mic = 'hold';
    });
    await button('Hold to talk').hover();
    await page.mouse.down();
    await expect.poll(() => pressed('Hold to talk')).toBe('true');
    await expect.poll(heard).toBeGreaterThan(BEEP);
    await page.mouse.move(1, 1);
    expect(await pressed('Hold to talk')).toBe('true');
    await page.mouse.up();
    await expect.poll(() => pressed('Hold to talk')).toBe('false');
    await expect.poll(heard).toBeLessThan(BEEP / 10);
  });

  it.each(['v', ' ', 'Enter'])('is on while the key %j is held', async (key) => {
    await button('Hold to talk').focus();
    await page.keyboard.down(key);
    await expect.poll(() => pressed('Hold to talk')).toBe('true');
    // Held keys repeat.
    await page.keyboard.down(key);
    expect(await pressed('Hold to talk')).toBe('true');
    await page.keyboard.up(key);
    await expect.poll(() => pressed('Hold to talk')).toBe('false');
  });

  it('tells who clicks to hold', async () => {
    await button('Hold to talk').click();
    await expect.poll(alert).toBe('Hold to talk');
    expect(await pressed('Hold to talk')).toBe('false');
    await button('Hold to talk').click({ delay: A_WHILE_MS });
    expect(await alert()).toBe('');
  });

  it('is switched by a click without a pointer, as screen readers do', async () => {
    const click = () => button('Hold to talk').evaluate((shown: HTMLButtonElement) => shown.click());
    await click();
    await expect.poll(() => pressed('Hold to talk')).toBe('true');
    await click();
    await expect.poll(() => pressed('Hold to talk')).toBe('false');
  });

  it('is named in the language of the page, also what is wrong', async () => {
    await element((cast) => {
      cast.mic = '';
      cast.lang = 'de';
    });
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
    });
    await element((cast) => cast.load());
    await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(playing)'));
    await button('Mikrofon').click();
    await expect.poll(alert).toBe('Kein Mikrofon gefunden.');
  });

  it('explains HTTPS where the browser has no microphones without it', async () => {
    await open(url.replace('127.0.0.1', INSECURE_HOST));
    await button().click();
    await expect.poll(alert).toBe('Microphones work on HTTPS pages and on localhost only.');
  });

  it('is released when the attribute is removed', async () => {
    await open();
    await button().click();
    await expect.poll(isRecorded).toBe(true);
    await element((cast) => {
      cast.mic = null;
    });
    await expect.poll(() => page.evaluate(() => changes.at(-1))).toBe('off');
    expect([await button().count(), await isRecorded()]).toEqual([0, false]);
  });

  it('leaves nothing behind when the session ends', async () => {
    await element((cast) => {
      cast.mic = '';
    });
    await button().click();
    await expect.poll(isRecorded).toBe(true);
    const sheets = await element(({ shadowRoot }) => shadowRoot?.adoptedStyleSheets.length ?? 0);
    signaling.send({
      type: 'event',
      event: { id: '1-0', session: 'ses_12345678', atMs: 1, type: 'session.ended', reason: 'closed' },
    });
    await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(ended)'));
    expect(await page.evaluate(() => changes.at(-1))).toBe('off');
    expect(
      await element(({ shadowRoot }) => [shadowRoot?.querySelector('.talk'), shadowRoot?.adoptedStyleSheets.length]),
    ).toEqual([null, sheets - 1]);
  });
});
