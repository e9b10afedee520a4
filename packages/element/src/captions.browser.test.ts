import { accessibilityFindings, launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSignaling } from '../../client/test/fake-signaling.js';
import { serveElement } from '../test/bundle.js';
import type { HumanCastElement } from './human-cast-element.js';

const PAGE = `<!doctype html><html lang="en"><title>page</title><style>human-cast { width: 480px }</style>
<script type="module" src="/element.js"></script>
<main><h1>Page</h1><human-cast session="ses_12345678" token="token" captions controls></human-cast></main>`;
/** Headers of a page that allows no inline styles and no HTML in scripts. */
const POLICY = "style-src 'nonce-none' 'unsafe-hashes'; require-trusted-types-for 'script'";

let signaling: FakeSignaling;
let browser: TestChromium;
let page: Page;
let requested: readonly string[];

beforeAll(async () => {
  const site = await serveElement(PAGE, { 'content-security-policy': POLICY });
  requested = site.requested;
  signaling = new FakeSignaling(site.handle);
  const url = await signaling.listen();
  browser = await launchChromium();
  const host = await browser.context.newPage();
  await host.goto(`${url}/host`);
  await signaling.hostReady;
  page = await browser.context.newPage();
  // Playwright's own evaluations count as a person's, so that audio would be on, depending on when they come.
  await page.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, 'userActivation', { value: { hasBeenActive: false, isActive: false } }),
  );
  await page.goto(url);
  await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(playing)'));
});

afterAll(async () => {
  await browser?.close();
  await signaling?.close();
});

const element = <T>(read: (element: HumanCastElement) => T) =>
  page.locator('human-cast').evaluate(read as (element: Element) => T) as Promise<T>;
const captions = () => page.getByRole('log', { name: 'Captions' });
const button = () => page.getByRole('button', { name: 'Captions' });
const event = (body: object) =>
  signaling.send({
    type: 'event',
    event: { id: `${Date.now()}-0`, session: 'ses_12345678', atMs: 1, segment: 'seg_12345678', ...body } as never,
  });
/** Longer than any test takes. */
const text = (words: string, seq: number, untilMs = 120_000) =>
  event({ type: 'speech.text', seq, text: words, positionMs: 0, untilMs });
const finished = (seq: number, interrupted: boolean) =>
  event({
    type: 'speech.finished',
    seq,
    positionMs: 900,
    interrupted,
    reason: interrupted ? 'interrupted' : 'finished',
  });

/** The tests depend on their order: each continues the session of the one before it. */
describe('captions in Chromium', () => {
  it('are loaded with the first text, which is shown as text, whatever it contains', async () => {
    event({ type: 'speech.started', seq: 1 });
    expect(await button().count()).toBe(0);
    expect(requested.filter((path) => path.includes('captions'))).toEqual([]);
    text('Hello <b>there</b><img src=x onerror=alert(1)>', 1);
    await expect.poll(() => captions().textContent()).toBe('Hello <b>there</b><img src=x onerror=alert(1)>');
    expect(await captions().evaluate(({ childElementCount }) => childElementCount)).toBe(0);
    expect(requested.filter((path) => path.includes('captions'))).toHaveLength(1);
  });

  it('stay inside the video and above the controls, at most two lines of a long text at a time', async () => {
    text('a long text without an end '.repeat(1000), 1);
    await expect.poll(async () => (await captions().textContent())?.length).toBeGreaterThan(60);
    expect((await captions().textContent())?.length).toBeLessThanOrEqual(84);
    const boxOf = async (of: string) =>
      (await page.locator(of).boundingBox()) as { x: number; y: number; width: number; height: number };
    const [host, shown, unmute] = [
      await boxOf('human-cast'),
      await boxOf('[part~=captions]'),
      await boxOf('[part~=unmute]'),
    ];
    expect(shown.x).toBeGreaterThanOrEqual(host.x);
    expect(shown.x + shown.width).toBeLessThanOrEqual(host.x + host.width);
    expect(shown.y + shown.height).toBeLessThanOrEqual(unmute.y);
  });

  it('have the direction of their text', async () => {
    const direction = () => captions().evaluate((shown) => getComputedStyle(shown).direction);
    text('שלום עולם', 1);
    await expect.poll(direction).toBe('rtl');
    text('Hello', 1);
    await expect.poll(direction).toBe('ltr');
  });

  it('are read out only while nobody hears the voice', async () => {
    expect(await captions().getAttribute('aria-live')).toBe('polite');
    await page.getByRole('button', { name: 'Turn on sound' }).click();
    await expect.poll(() => captions().getAttribute('aria-live')).toBe('off');
    await page.getByRole('slider', { name: 'Volume' }).fill('0');
    await expect.poll(() => captions().getAttribute('aria-live')).toBe('polite');
    await page.getByRole('slider', { name: 'Volume' }).fill('1');
  });

  it('axe-core finds nothing while they are shown', async () => {
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  it('are turned off and on by their button, the key C and the attribute', async () => {
    expect(await button().getAttribute('aria-pressed')).toBe('true');
    await button().focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => captions().isVisible()).toBe(false);
    expect(await button().getAttribute('aria-pressed')).toBe('false');
    expect(await element((cast) => [cast.captions, cast.hasAttribute('captions')])).toEqual([false, false]);
    await page.keyboard.press('c');
    await expect.poll(() => captions().isVisible()).toBe(true);
    await element((cast) => {
      cast.captions = false;
    });
    await expect.poll(() => button().getAttribute('aria-pressed')).toBe('false');
    await element((cast) => cast.setAttribute('captions', ''));
    await expect.poll(() => button().getAttribute('aria-pressed')).toBe('true');
  });

  it('are cleared as soon as the viewer interrupts, before that is confirmed, and not refilled by the old speech', async () => {
    text('Nobody hears this', 1);
    await expect.poll(() => captions().textContent()).toBe('Nobody hears this');
    const interrupted = await element((cast) => {
      const shown = cast.shadowRoot?.querySelector('[part~=captions]') as Element;
      const sent = cast.interrupt();
      const seen = [shown.textContent];
      new MutationObserver(() => seen.push(shown.textContent)).observe(shown, { childList: true });
      Object.assign(window, { seen });
      return [sent, shown.textContent];
    });
    expect(interrupted).toEqual([true, '']);
    text('Nor this', 1);
    event({ type: 'speech.started', seq: 2 });
    text('But this', 2);
    await expect.poll(() => captions().textContent()).toBe('But this');
    expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen)).toEqual(['', 'But this']);
  });

  it('are cleared by an interruption, and later text of the interrupted speech is not shown', async () => {
    text('Never to the end', 2);
    await expect.poll(() => captions().textContent()).toBe('Never to the end');
    event({ type: 'session.interrupted', interruptedSeq: 2, turn: 1 });
    await expect.poll(() => captions().textContent()).toBe('');
    text('Too late', 2);
    text('The answer', 3);
    await expect.poll(() => captions().textContent()).toBe('The answer');
    finished(3, true);
    await expect.poll(() => captions().textContent()).toBe('');
  });

  it('are cleared a while after the end of their speech, and not by the end of another one', async () => {
    text('The last words', 4);
    await expect.poll(() => captions().textContent()).toBe('The last words');
    finished(3, true);
    text('The very last words', 4);
    await expect.poll(() => captions().textContent()).toBe('The very last words');
    finished(4, false);
    await expect.poll(() => captions().textContent(), { timeout: 10_000 }).toBe('');
  });

  it('are named in the language of the page', async () => {
    await element((cast) => cast.setAttribute('lang', 'fr'));
    await page.getByRole('button', { name: 'Couper le son' }).waitFor();
    text('Bonjour', 5);
    await page.getByRole('button', { name: 'Sous-titres' }).waitFor();
  });

  it('leave nothing behind when the session ends', async () => {
    const sheets = await element(({ shadowRoot }) => shadowRoot?.adoptedStyleSheets.length ?? 0);
    event({ type: 'session.ended', reason: 'closed' });
    await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(ended)'));
    expect(
      await element(({ shadowRoot }) => [
        shadowRoot?.querySelector('.captions, [part~=toggle-captions]'),
        shadowRoot?.adoptedStyleSheets.length,
      ]),
    ).toEqual([null, sheets - 1]);
  });
});
