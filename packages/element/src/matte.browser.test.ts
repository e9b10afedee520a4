import { launchChromium, type TestChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSignaling } from '../../client/test/fake-signaling.js';
import { serveElement } from '../test/bundle.js';
import type { HumanCastElement } from './human-cast-element.js';

const PAGE = `<!doctype html><html lang="en"><title>page</title><style>human-cast { width: 320px }</style>
<script type="module" src="/element.js"></script>
<human-cast session="ses_12345678" token="token" transparent controls></human-cast>`;

let signaling: FakeSignaling;
let browser: TestChromium;
let page: Page;
let url: string;
let requested: readonly string[];

beforeAll(async () => {
  const site = await serveElement(PAGE);
  requested = site.requested;
  signaling = new FakeSignaling(site.handle);
  signaling.color = 'rgb(100, 0, 0)';
  signaling.matte = 'rgb(128, 128, 128)';
  url = await signaling.listen();
  browser = await launchChromium();
  const host = await browser.context.newPage();
  await host.goto(`${url}/host`);
  await signaling.hostReady;
  page = await browser.context.newPage();
  // There is no GPU, and WebGL would be rejected as slow.
  await page.addInitScript(() => {
    const { getContext } = HTMLCanvasElement.prototype;
    Object.assign(HTMLCanvasElement.prototype, {
      getContext(this: HTMLCanvasElement, kind: '2d') {
        return getContext.call(this, kind);
      },
    });
  });
  await page.goto(url);
});

afterAll(async () => {
  await browser?.close();
  await signaling?.close();
});

const element = <T>(read: (element: HumanCastElement) => T) =>
  page.locator('human-cast').evaluate(read as (element: Element) => T) as Promise<T>;

/** @returns The middle of what is drawn of the next frame, as the page shows it over white. */
const drawn = () =>
  element(
    ({ shadowRoot }) =>
      new Promise<number[]>((resolve) => {
        shadowRoot?.querySelector('video')?.requestVideoFrameCallback(() => {
          const copy = Object.assign(document.createElement('canvas'), { width: 320, height: 120 });
          const context = copy.getContext('2d') as CanvasRenderingContext2D;
          context.fillStyle = '#fff';
          context.fillRect(0, 0, 320, 120);
          context.drawImage(shadowRoot.querySelector('canvas') as HTMLCanvasElement, 0, 0);
          resolve([...context.getImageData(160, 60, 1, 1).data].slice(0, 3));
        });
      }),
  );
const near = (seen: readonly number[], right: readonly number[]) =>
  right.every((value, i) => Math.abs(value - (seen[i] ?? 0)) < 12);
/** Half of white behind, plus the premultiplied color. */
const RIGHT = [100 + 127, 127, 127];

/** The tests depend on their order. */
describe('a transparent avatar in Chromium', () => {
  it('is drawn as premultiplied color over the page, in half the height of its video', async () => {
    await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(playing)'));
    await expect.poll(async () => near(await drawn(), RIGHT)).toBe(true);
    expect(
      await element(({ videoWidth, videoHeight, clientHeight }) => [videoWidth, videoHeight, clientHeight]),
    ).toEqual([320, 120, 120]);
    expect(requested.filter((path) => path.includes('poster'))).toEqual([]);
    expect(await page.getByRole('button', { name: 'Mini player' }).count()).toBe(0);
    expect(await element((cast) => getComputedStyle(cast).backgroundColor)).toBe('rgba(0, 0, 0, 0)');
  });

  it('is drawn again after its WebGL context was lost', async () => {
    await element(({ shadowRoot }) => {
      const gl = shadowRoot?.querySelector('canvas')?.getContext('webgl2');
      const loss = gl?.getExtension('WEBGL_lose_context');
      loss?.loseContext();
      return new Promise((resolve) =>
        setTimeout(() => {
          loss?.restoreContext();
          resolve(true);
        }, 100),
      );
    });
    await expect.poll(async () => near(await drawn(), RIGHT)).toBe(true);
  });

  it('leaves nothing behind when its session ends', async () => {
    await element((cast) => cast.remove());
    await page.evaluate(() => document.body.append(document.createElement('p')));
    signaling.matte = undefined;
    await page.reload();
    await page.waitForFunction(() => document.querySelector('human-cast')?.matches(':state(playing)'));
    expect(await element(({ shadowRoot }) => shadowRoot?.querySelector('canvas'))).toBe(null);
    expect(await element(({ videoHeight }) => videoHeight)).toBe(240);
  });
});
