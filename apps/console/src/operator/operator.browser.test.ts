import { accessibilityFindings, launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BuiltPage, errorsOf } from '../../test/built-page.js';
import { avatar, FakeControlPlane, KEY } from '../../test/fake-control-plane.js';

let controlPlane: FakeControlPlane;
let browser: TestChromium;
let page: Page;
let url: string;
let built: BuiltPage;
let browserErrors: string[];

beforeAll(async () => {
  built = await BuiltPage.build();
  controlPlane = new FakeControlPlane(built);
  url = await controlPlane.listen();
  browser = await launchChromium();
  page = await browser.context.newPage();
  browserErrors = errorsOf(page);
});

afterAll(async () => {
  await browser?.close();
  await controlPlane?.close();
  built?.remove();
});

const problem = (file: string, message: string, code = 'library_entry_unusable') => ({ file, code, message });
const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** Ordered: each test continues where the previous one left the page. */
describe('operator page', () => {
  it('the form asks for the API key once per tab, and again if it is rejected', async () => {
    await page.goto(`${url}/?operate`);
    await page.getByLabel('API key').fill('another key');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('not accepted').waitFor();
    await page.getByLabel('API key').fill(KEY);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Sessions 2' }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'Sessions 2' }).waitFor();
    expect(page.url()).not.toContain(KEY);
    browserErrors.length = 0; // The browser logs the intended rejection.
  });

  it('the lists show media-senders with their load, and sessions, which can be filtered by media-sender', async () => {
    await page.getByText('38 of 40 sessions').waitFor();
    await page.getByRole('searchbox').fill('one');
    await page.locator('.session-row').filter({ hasText: 'otto' }).waitFor({ state: 'detached' });
    expect(await page.locator('.session-row').allInnerTexts()).toHaveLength(1);
    await page.getByRole('searchbox').fill('');
  });

  it('the media folder card lists problems by avatar, and is absent without problems', async () => {
    const folder = page.getByRole('region', { name: 'Media folder' });
    expect(await folder.count()).toBe(0);
    controlPlane.avatars = [
      avatar('mimi', 'mimi', [
        problem('idle/playlist.m3u', 'line 3 names "Gruß.mp4", which is not in the folder'),
        problem('idle/gone.mp4', 'the link leads nowhere'),
      ]),
      avatar('otto', 'Otto', [problem('segments/broken.mp4', 'no known media format', 'media_unreadable')], 51),
    ];
    controlPlane.strayProblems = [problem('stray.mp4', 'a file beside the avatars’ folders')];
    await page.reload();
    await folder.getByText('Media folder: 54 problems').click();
    expect(await folder.locator('h3').allInnerTexts()).toEqual(['mimi', 'Otto (otto)', 'Outside avatar folders']);
    expect(await folder.getByRole('listitem').allInnerTexts()).toEqual([
      'idle/playlist.m3u\nline 3 names "Gruß.mp4", which is not in the folder',
      'idle/gone.mp4\nthe link leads nowhere',
      'segments/broken.mp4\nno known media format',
      'stray.mp4\na file beside the avatars’ folders',
    ]);
    await folder.getByText('And 50 more.').waitFor();
    expect(await overflow()).toBeLessThanOrEqual(0);
    controlPlane.avatars = [avatar('mimi', 'mimi', [problem('idle/gone.mp4', 'the link leads nowhere')])];
    controlPlane.strayProblems = [];
    await page.reload();
    // A few problems are shown unfolded.
    await folder.getByText('the link leads nowhere').waitFor();
    controlPlane.avatars = [avatar('mimi', 'mimi')];
    await page.reload();
    await page.getByRole('heading', { name: 'Sessions 2' }).waitFor();
    expect(await folder.count()).toBe(0);
  });

  it('keyboard alone is enough to select a session, speak a segment and interrupt it', async () => {
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '');
    const tabTo = async (text: string) => {
      for (let i = 0; i < 30 && !(await focused()).startsWith(text); i++) await page.keyboard.press('Tab');
      expect(await focused()).toContain(text);
    };
    await tabTo('mimi');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'mimi' }).waitFor();
    await page.getByRole('option', { name: 'Good bye (3.1 s)' }).waitFor({ state: 'attached' });
    await page.getByLabel('Segment to speak').selectOption('seg_goodbye02');
    await tabTo('Speak');
    await page.keyboard.press('Enter');
    await tabTo('Interrupt');
    await page.keyboard.press('Enter');
    await expect
      .poll(() => controlPlane.asked)
      .toEqual([
        'POST /v1/sessions/ses_watched001/speak {"segments":["seg_goodbye02"]}',
        'POST /v1/sessions/ses_watched001/interrupt',
      ]);
  });

  it('the session panel shows activity, network figures and the lip sync curve live', async () => {
    controlPlane.speaking = 'seg_welcome01';
    controlPlane.sendEvent({ type: 'speech.started', seq: 1, segment: 'seg_welcome01' });
    await page.locator('.now', { hasText: 'Welcome' }).waitFor();
    await page
      .getByRole('row', { name: /vw_watching0001/ })
      .getByText('+7 ms')
      .waitFor();
    const row = await page.getByRole('row', { name: /vw_watching0001/ }).innerText();
    for (const shown of ['1.0 %', '2 of 3', '0.7 / 0.5 Mb/s', '20 ms']) expect(row).toContain(shown);
    controlPlane.skewMs = -52;
    await page.getByRole('img', { name: 'Lip sync: -52 ms' }).waitFor();
    const drawn = await page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const { data } = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
      return data.some((value) => value !== 0);
    });
    expect(drawn).toBe(true);
  });

  it('the page fits a phone, and shows either the lists or the session', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    // The page learns its new size asynchronously.
    await expect.poll(overflow).toBeLessThanOrEqual(0);
    expect(await page.locator('.lists').isVisible()).toBe(false);
    await page.getByRole('link', { name: 'All sessions' }).click();
    await page.locator('.lists').waitFor();
    expect(await page.locator('.detail').isVisible()).toBe(false);
    expect(await overflow()).toBeLessThanOrEqual(0);
  });

  it('axe-core finds nothing', async () => {
    expect(await accessibilityFindings(page)).toEqual([]);
  });

  it('draining a media-sender and ending a session need a second click', async () => {
    controlPlane.asked.length = 0;
    const drain = page.getByRole('listitem').filter({ hasText: 'snd_second002' }).getByRole('button');
    await drain.click();
    expect(controlPlane.asked).toEqual([]);
    await drain.click();
    await expect.poll(() => controlPlane.asked).toEqual(['POST /v1/senders/snd_second002/drain']);
    await page.getByRole('link', { name: /otto/ }).click();
    await page.getByRole('button', { name: 'End', exact: true }).click();
    await page.getByRole('button', { name: 'End for all viewers?' }).click();
    await expect.poll(() => controlPlane.asked.at(-1)).toBe('DELETE /v1/sessions/ses_waiting002');
    await page.getByRole('link', { name: 'All sessions' }).click();
    await page.getByRole('heading', { name: 'Sessions 1' }).waitFor();
    browserErrors.splice(0, browserErrors.length, ...browserErrors.filter((text) => !text.includes('404')));
  });

  it('the page requested only its own server, and violated no content security policy', () => {
    expect(browserErrors).toEqual([]);
  });
});
