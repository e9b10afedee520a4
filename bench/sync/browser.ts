/**
 * Lip-sync in headless Chromium, through coturn.
 *
 * - The browser's own estimate, once a second: `estimatedPlayoutTimestamp` of both tracks.
 * - As presented: each flash at the `expectedDisplayTime` of its first white frame, each beep at the output time of its
 *   first sample. Audio output adds an unknown constant, so this difference is valid for spread, scatter around the median
 *   and trend, but not for the absolute offset, which the estimate gives.
 *
 * Limits: the video is shown at half its width, because drawing without a GPU would dominate the cost. Without a screen, a
 * timer refreshes at 60 Hz, so a flash is known to 17 ms at best and slips against the refreshes (refresh-grid.ts removes
 * that from the trend). Video and audio are rendered on the same cores as everything else.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestTurn } from '@humancast/testkit';
import type { BrowserContext, Page } from 'playwright-core';
import { cpuSeconds } from '../lib/processes.ts';
import type { Scene } from '../lib/scene.ts';
import type { Peer } from './peer.ts';
import type { Measurement } from './viewer.ts';

export interface ViewerRun {
  readonly measurement: Measurement;
  /** Share of a core that the sending process used for this viewer. */
  readonly senderCpu: number;
}

export async function openViewerPage(context: BrowserContext, origin: string): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`in the page: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') console.error(`in the page: ${message.text()} ${message.location().url}`);
  });
  await page.goto(`${origin}/bench/sync/viewer.html`);
  await page.waitForFunction(() => 'bench' in globalThis);
  return page;
}

/** Watches a new session for the given time. */
export async function watchSession(
  { stack, producer, senderPid }: Scene,
  page: Page,
  options: { avatar: string; seconds: number; trim: boolean },
): Promise<ViewerRun> {
  const session = await producer.createSession(options.avatar);
  const join = { url: stack.signalingUrl, session: session.id, token: session.token, trim: options.trim };
  const run = await watch(page, senderPid, options.seconds, () => page.evaluate((o) => bench.joinSession(o), join));
  await producer.endSession(session.id);
  return run;
}

async function watch(page: Page, senderPid: number, seconds: number, join: () => Promise<unknown>): Promise<ViewerRun> {
  await join();
  const [cpuBefore, before] = [cpuSeconds(senderPid), performance.now()];
  await sleep(seconds * 1000);
  const senderCpu = (cpuSeconds(senderPid) - cpuBefore) / ((performance.now() - before) / 1000);
  return { measurement: await page.evaluate(() => bench.measurement()), senderCpu };
}

/** Watches the design for comparison, through the same relay. */
export async function watchPeer(page: Page, peer: Peer, turn: TestTurn, seconds: number): Promise<ViewerRun> {
  await page.exposeFunction('peerOffer', () => peer.offer());
  await page.exposeFunction('peerAnswer', (sdp: string) => peer.answer(sdp));
  const join = { iceServers: [turn.iceServer()] };
  return watch(page, peer.pid, seconds, () => page.evaluate((o) => bench.joinPeer(o), join));
}
