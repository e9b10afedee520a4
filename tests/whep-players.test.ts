import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  launchChromium,
  launchFirefox,
  makeTestClip,
  ownAddress,
  Producer,
  type Stack,
  startStack,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const PLAYERS = fileURLToPath(new URL('players', import.meta.url));
const PYTHON = '/usr/bin/python3';
const TONE_HZ = 440;
/** Amplitude of ffmpeg's `sine`. */
const TONE_LEVEL = 1 / 8;
/** Longest time that a player takes until it has decoded a second and more, on a busy machine. */
const PLAYER_TIMEOUT_MS = 60_000;

/** The output of a Python player; see players/whep.py. */
interface Figures {
  readonly frames: number;
  readonly color: readonly [number, number, number];
  readonly rms: number;
  readonly toneHz: number;
  readonly deleted: number;
}

/** The interface that both browsers' pages have in common. */
interface Page {
  goto(url: string): Promise<unknown>;
  evaluate<T>(expression: string): Promise<T>;
}

/** None of these players knows anything of humancast. */
describe('WHEP players of other projects', () => {
  let stack: Stack;
  let producer: Producer;
  let pages: Server;

  beforeAll(async () => {
    pages = await servePages();
    // Firefox accepts no TURN server on the loopback interface.
    stack = await startStack({ mediaAddress: ownAddress(), env: { ALLOWED_ORIGINS: originOf(pages) } });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2, toneHz: TONE_HZ });
    await producer.idleLoaded('lights');
  });

  afterAll(async () => {
    pages?.close();
    await stack?.stop();
  });

  async function watched(): Promise<{ id: string; token: string; url: string }> {
    const { id, token } = await producer.createSession('lights');
    return { id, token, url: producer.signaling(`/whep/lights?session=${id}`) };
  }

  const viewersOf = async (id: string) => (await producer.session(id)).viewerCount;
  const hasNoViewers = (count: number) => count === 0;

  it.each([
    ['aiortc', 'aiortc_player.py'],
    ["GStreamer's webrtcbin", 'gstreamer_player.py'],
  ])('%s decodes video and audio, and ends its session', async (_, script) => {
    const { id, token, url } = await watched();
    const program = [join(PLAYERS, script), url, token];
    const { stdout } = await promisify(execFile)(PYTHON, program, { timeout: PLAYER_TIMEOUT_MS });
    const { frames, color, rms, toneHz, deleted } = JSON.parse(stdout) as Figures;
    expect(frames).toBeGreaterThanOrEqual(45);
    expectRed(color);
    expect(rms).toBeCloseTo(TONE_LEVEL / Math.SQRT2, 1);
    expect(Math.abs(toneHz - TONE_HZ)).toBeLessThan(10);
    expect(deleted).toBe(200);
    await waitFor('the viewer has left', () => viewersOf(id), hasNoViewers);
  });

  it.each([
    ['Chromium', startChromium],
    ['Firefox', launchFirefox],
  ] as const)('whip-whep in %s plays through the relay of the answer, and ends its session', async (_, launch) => {
    const browser = await launch();
    try {
      const { id, token, url } = await watched();
      const page = await view(browser, url, token);
      expectRed(await page.evaluate('player.color()'));
      const level = () => page.evaluate<number>('player.audioLevel()');
      await waitFor('the tone is heard', level, (value) => Math.abs(value - TONE_LEVEL) < 0.03);
      // Firefox's feedback covers video only. What it does not cover must not count as lost.
      const before = await presented(page);
      await waitFor(
        'video goes on',
        () => presented(page),
        (count) => count > before + 60,
      );
      const { viewers } = await producer.session(id);
      expect(viewers[0]?.sending).toMatchObject({ rung: 0 });
      await page.evaluate('player.stop()');
      await waitFor('the viewer has left', () => viewersOf(id), hasNoViewers);
    } finally {
      await browser.close();
    }
  });

  it('whip-whep in Chromium restarts ICE, and video goes on', async () => {
    const browser = await startChromium();
    try {
      const { token, url } = await watched();
      const page = await view(browser, url, token);
      expect(await page.evaluate('player.restart()')).toBe(true);
      const before = await presented(page);
      await waitFor(
        'video goes on',
        () => presented(page),
        (count) => count > before + 60,
      );
      expect(await page.evaluate('player.state()')).toBe('connected');
    } finally {
      await browser.close();
    }
  });

  /** @returns a page that presents frames. */
  async function view(browser: { newPage(): Promise<Page> }, url: string, token: string): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(originOf(pages));
    await page.evaluate(`player.view('${url}', '${token}')`);
    await waitFor(
      'frames are presented',
      () => presented(page),
      (count) => count > 30,
    );
    return page;
  }
});

const presented = (page: Page) => page.evaluate<number>('player.presented()');

async function startChromium(): Promise<{ newPage(): Promise<Page>; close(): Promise<void> }> {
  const { context, close } = await launchChromium();
  return { newPage: () => context.newPage(), close };
}

function expectRed([red, green, blue]: readonly [number, number, number]): void {
  expect(red).toBeGreaterThan(150);
  expect(green).toBeLessThan(90);
  expect(blue).toBeLessThan(90);
}

/** Serves the page and the player from another origin than signaling's. */
async function servePages(): Promise<Server> {
  const page = readFileSync(join(PLAYERS, 'page.html'));
  const script = readFileSync(fileURLToPath(import.meta.resolve('whip-whep/whep.js')));
  const server = createServer(({ url }, response) => {
    const isScript = url === '/whep.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(isScript ? script : page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
