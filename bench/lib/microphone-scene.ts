import { setTimeout as sleep } from 'node:timers/promises';
import { Humancast, ProducerError } from '@humancast/producer';
import { type Cleanup, launchChromium } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { servePages } from './page-server.ts';
import { openScene } from './scene.ts';

const POLL_MS = 200;

/** A stack, its producer, and a page in headless Chromium whose viewer may speak. */
export interface MicrophoneScene {
  readonly humancast: Humancast;
  readonly page: Page;
  readonly session: string;
  /** What the page's client needs to join the session. */
  readonly viewer: { readonly url: string; readonly session: string; readonly token: string };
}

export interface MicrophoneSceneOptions {
  readonly mediaDir: string;
  readonly avatar: string;
  readonly bargeIn?: 'stop';
  /** Path of the page, and the global that is there once it has loaded. */
  readonly path: string;
  readonly ready: string;
}

export async function openMicrophoneScene(
  cleanup: Cleanup,
  { mediaDir, avatar, bargeIn, path, ready }: MicrophoneSceneOptions,
): Promise<MicrophoneScene> {
  const origin = await servePages(cleanup);
  const { stack } = await openScene(cleanup, {
    mediaDir,
    // A benchmark interrupts more often than people do.
    env: { ALLOWED_ORIGINS: origin, BARGE_INS_PER_MINUTE: '6000' },
  });
  const { apiKey, signalingUrl, loaderUrl } = stack;
  const humancast = new Humancast({ apiKey, signalingUrl, loaderUrl });
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const page = await chromium.context.newPage();
  await page.goto(`${origin}${path}`);
  await page.waitForFunction((name) => name in globalThis, ready);
  const { id, microphoneToken = '' } = await whenLoaded(() =>
    humancast.createSession(avatar, { microphone: true, ...(bargeIn && { bargeIn }) }),
  );
  return { humancast, page, session: id, viewer: { url: signalingUrl, session: id, token: microphoneToken } };
}

/** The avatar's idle clip is loaded while the stack starts. */
async function whenLoaded<T>(create: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await create();
    } catch (error) {
      if (!(error instanceof ProducerError) || error.code !== 'avatar_has_no_idle') throw error;
      await sleep(POLL_MS);
    }
  }
}
