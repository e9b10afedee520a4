import { accessibilityFindings, launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSignaling } from '../../client/test/fake-signaling.js';
import { bundleElement } from '../test/bundle.js';
import type { HumanCastElement } from './human-cast-element.js';

const PAGE = `<!doctype html><html lang="en"><title>page</title><style>human-cast { width: 480px }
human-cast:state(speaking) { outline: 3px solid rgb(0 128 0) }</style>
<script type="module" src="/element.js"></script>
<main><h1>Page</h1><human-cast session="ses_12345678" token="token" controls></human-cast></main>
<script>
window.fired = [];
const element = document.querySelector('human-cast');
for (const name of ['playing', 'pause', 'waiting', 'ended', 'error', 'volumechange', 'speechstart', 'speechend', 'sessionevent'])
  element.addEventListener(name, () => fired.push(name));
</script>`;
/** 320 × 240, as the video. */
const POSTER =
  '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240"><rect width="320" height="240" fill="#00f"/></svg>';
/** Headers of a page that allows no inline styles and no HTML in scripts. */
const POLICY = "style-src 'nonce-none' 'unsafe-hashes'; require-trusted-types-for 'script'";

declare global {
  var fired: string[];
}

let signaling: FakeSignaling;
let browser: TestChromium;
let page: Page;
let posterRequests: string[] = [];
let url: string;

beforeAll(async () => {
  const files = await bundleElement();
  signaling = new FakeSignaling((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://signaling');
    const script = files.get(pathname);
    if (script !== undefined) response.setHeader('content-type', 'text/javascript').end(script);
    else if (pathname.endsWith('/poster')) {
      posterRequests.push(`${pathname} ${searchParams.get('token')}`);
      response.setHeader('content-type', 'image/svg+xml').end(POSTER);
    } else if (pathname === '/strict') {
      response.setHeader('content-security-policy', POLICY);
      response.setHeader('content-type', 'text/html').end(PAGE);
    } else response.setHeader('content-type', 'text/html').end(PAGE);
  });
  url = await signaling.listen();
  browser = await launchChromium();
  page = await browser.context.newPage();
  // Playwright's own evaluations count as a person's, so that audio would be on, depending on when they come.
  await page.addInitScript(() =>
    Object.defineProperty(Navigator.prototype, 'userActivation', { value: { hasBeenActive: false, isActive: false } }),
  );
  await page.goto(url);
});

afterAll(async () => {
  await browser?.close();
  await signaling?.close();
});

/** Reads from the element in the page. */
const element = <T>(read: (element: HumanCastElement) => T) =>
  page.locator('human-cast').evaluate(read as (element: Element) => T) as Promise<T>;
const box = () => page.locator('human-cast').boundingBox();
const isState = (state: string) =>
  page.waitForFunction((wanted) => document.querySelector('human-cast')?.matches(`:state(${wanted})`), state);
const event = (body: object) =>
  signaling.send({
    type: 'event',
    event: { id: `${Date.now()}-0`, session: 'ses_12345678', atMs: 1, ...body } as never,
  });

/** The tests depend on their order: each continues the session of the one before it. */
describe('<human-cast> in Chromium', () => {
  it('shows the poster in its final shape before any media, and says that it connects', async () => {
    await page.waitForFunction(() => {
      const poster = document.querySelector('human-cast')?.shadowRoot?.querySelector('img');
      return (poster?.naturalWidth ?? 0) > 0 && getComputedStyle(poster as Element).opacity === '1';
    });
    expect(posterRequests).toEqual(['/v1/sessions/ses_12345678/poster token']);
    expect(await box()).toMatchObject({ width: 480, height: 360 });
    expect(await page.getByRole('status').textContent()).toBe('Connecting…');
    expect(await element(({ state }) => state)).toBe('connecting');
  });

  it('plays muted when the offer comes, fires what <video> fires, and removes the poster', async () => {
    const host = await browser.context.newPage();
    await host.goto(`${url}/host`);
    await signaling.hostReady;
    await page.bringToFront();
    // The first offer had no host.
    await page.reload();
    await isState('playing');
    await page.waitForFunction(() => document.querySelector('human-cast')?.shadowRoot?.querySelector('img.gone'));
    expect(await element(({ muted, paused, videoWidth }) => ({ muted, paused, videoWidth }))).toEqual({
      muted: true,
      paused: false,
      videoWidth: 320,
    });
    expect(await page.evaluate(() => fired.includes('playing'))).toBe(true);
    expect(await page.getByRole('status').textContent()).toBe('');
  });

  it('axe-core finds nothing while it plays', async () => {
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  it('the button that turns on the sound is clear of the controls', async () => {
    const edgesOf = async (of: string) => {
      const { y, height } = (await page.locator(of).boundingBox()) ?? { y: Number.NaN, height: 0 };
      return { top: y, bottom: y + height };
    };
    expect((await edgesOf('[part~=unmute]')).bottom).toBeLessThanOrEqual((await edgesOf('[part~=volume]')).top);
  });

  it('a click turns on the sound; keys and the slider change it', async () => {
    await page.getByRole('button', { name: 'Turn on sound' }).click();
    await page.getByRole('button', { name: 'Sound off' }).waitFor();
    expect(await element(({ muted }) => muted)).toBe(false);
    await page.getByRole('slider', { name: 'Volume' }).fill('0.5');
    expect(await element(({ volume }) => volume)).toBe(0.5);
    await page.keyboard.press('m');
    await page.getByRole('button', { name: 'Turn on sound' }).waitFor();
    await page.keyboard.press('m');
    await page.getByRole('button', { name: 'Sound off' }).waitFor();
    expect(await page.evaluate(() => fired.includes('volumechange'))).toBe(true);
  });

  it('leaves keys to the page’s own fields inside it', async () => {
    await element((cast) => cast.append(Object.assign(document.createElement('input'), { ariaLabel: 'Name' })));
    await page.getByLabel('Name').pressSequentially('mmm');
    expect(await page.getByLabel('Name').inputValue()).toBe('mmm');
    expect(await element(({ muted }) => muted)).toBe(false);
    await element((cast) => cast.replaceChildren());
  });

  it('is in the state `speaking` while it speaks; Escape interrupts, and it is silent at once', async () => {
    event({ type: 'speech.started', seq: 1, segment: 'seg_12345678' });
    await isState('speaking');
    expect(await page.locator('human-cast').evaluate((host) => getComputedStyle(host).outlineColor)).toBe(
      'rgb(0, 128, 0)',
    );
    await page.getByRole('button', { name: 'Interrupt' }).focus();
    await page.keyboard.press('Escape');
    const audible = () =>
      element(({ shadowRoot }) => {
        const stream = shadowRoot?.querySelector('video')?.srcObject as MediaStream;
        return stream.getAudioTracks().some(({ enabled }) => enabled);
      });
    expect(await audible()).toBe(false);
    expect(await element(({ volume, muted }) => [volume, muted])).toEqual([0.5, false]);
    await expect.poll(() => signaling.messagesOf('interrupt').length).toBe(1);
    event({ type: 'speech.finished', seq: 1, segment: 'seg_12345678', positionMs: 900, reason: 'interrupted' });
    await expect.poll(audible).toBe(true);
    expect(await page.evaluate(() => fired.filter((name) => name.startsWith('speech')))).toEqual([
      'speechstart',
      'speechend',
    ]);
    expect(await page.getByRole('button', { name: 'Interrupt' }).isVisible()).toBe(false);
  });

  it('pause() shows a button that plays', async () => {
    await element((cast) => cast.pause());
    await page.getByRole('button', { name: 'Tap to play' }).click();
    await isState('playing');
    expect(await page.evaluate(() => fired.includes('pause'))).toBe(true);
  });

  it('keeps its box for video of another shape, and shows that video whole', async () => {
    await element((cast) => cast.setAttribute('fit', 'cover'));
    const fit = () =>
      element(({ shadowRoot }) => getComputedStyle(shadowRoot?.querySelector('video') as Element).objectFit);
    await expect.poll(fit).toBe('cover');
    await element(({ shadowRoot }) => {
      const video = shadowRoot?.querySelector('video') as HTMLVideoElement;
      Object.defineProperties(video, { videoWidth: { value: 640 }, videoHeight: { value: 640 } });
      video.dispatchEvent(new Event('resize'));
    });
    expect(await fit()).toBe('contain');
    expect(await page.locator('human-cast img').getAttribute('class')).toContain('gone');
    expect(await box()).toMatchObject({ width: 480, height: 360 });
  });

  it('says in the language of the page that it reconnects, and plays again', async () => {
    await page.evaluate(() => {
      document.documentElement.lang = 'de';
      document.querySelector('human-cast')?.setAttribute('lang', 'de-CH');
    });
    await page.getByRole('button', { name: 'Ton aus' }).waitFor();
    signaling.silence(signaling.connections.at(-1) ?? '');
    await page.getByRole('status').getByText('Neu verbinden').waitFor();
    await isState('playing');
  });

  it('keeps its session when it is moved in the document, and leaves it when it is removed', async () => {
    const joins = signaling.messagesOf('join').length;
    const leaves = signaling.messagesOf('leave').length;
    await page.evaluate(() => document.body.append(document.querySelector('human-cast') as Element));
    expect(await element(({ state }) => state)).toBe('playing');
    await page.evaluate(() => {
      const cast = document.querySelector('human-cast') as HumanCastElement;
      Object.assign(window, { kept: cast });
      cast.addEventListener('statechange', ({ detail }) => fired.push(`state ${detail}`));
      cast.remove();
    });
    await expect.poll(() => signaling.messagesOf('leave').length).toBe(leaves + 1);
    // As a <video> that is removed, it has not come to an end.
    expect(await page.evaluate(() => fired.filter((name) => /^state|ended/.test(name)))).toEqual(['state null']);
    expect(signaling.messagesOf('join')).toHaveLength(joins);
    await page.evaluate(() => document.body.append((window as unknown as { kept: Element }).kept));
    await isState('playing');
  });

  it('says why it failed, and offers another attempt only where one may help', async () => {
    signaling.rejection = 'token_expired';
    await element((cast) => cast.load());
    await page.getByRole('status').getByText('Link abgelaufen').waitFor();
    expect(await element(({ error, state }) => [error?.code, state])).toEqual(['token_expired', 'failed']);
    expect(await page.evaluate(() => fired.includes('error'))).toBe(true);
    expect(await page.getByRole('button').count()).toBe(0);
    signaling.rejection = 'viewer_limit';
    await element((cast) => cast.load());
    await page.getByRole('button', { name: 'Erneut versuchen' }).click();
    await isState('playing');
    expect(await element(({ error }) => error)).toBe(null);
  });

  it('works in a page that allows neither inline styles nor HTML in scripts', async () => {
    posterRequests = [];
    const errors: string[] = [];
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', ({ message }) => errors.push(message));
    await page.goto(`${url}/strict`);
    await page.waitForFunction(() => document.querySelector('human-cast')?.state === 'playing');
    expect(await element((cast) => getComputedStyle(cast).display)).toBe('block');
    // The page's own inline style is refused, as it should be.
    expect(errors.filter((text) => !text.includes('Applying inline style'))).toEqual([]);
  });
});
