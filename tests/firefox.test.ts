import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ViewerState } from '@humancast/protocol';
import {
  type FirefoxPage,
  type ImpairmentRelay,
  launchFirefox,
  makeBusyClip,
  makeTestClip,
  ownAddress,
  PAGE_STATE,
  PAGE_VIDEO,
  Producer,
  type Stack,
  startStack,
  startUdpImpairment,
  type TestFirefox,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { senderProcess } from './support/scene.ts';

/** Counts the frames that the page's video element presents, independently of its statistics. */
const COUNT_FRAMES = `(() => {
  const video = ${PAGE_VIDEO};
  window.presented = 0;
  const count = () => { window.presented++; video.requestVideoFrameCallback(count); };
  video.requestVideoFrameCallback(count);
})()`;

/** Keeps the page's peer connections in `window.peers`. */
const KEEP_PEERS = `
  const Native = window.RTCPeerConnection;
  window.peers = [];
  window.RTCPeerConnection = class extends Native {
    constructor(...options) { super(...options); window.peers.push(this); }
  };
`;

interface Playback {
  readonly connections: number;
  readonly framesDecoded: number;
  /** Playout time of audio relative to video by their RTP timestamps, plus a constant, ms. Firefox tells no skew. */
  readonly offsetMs: number;
}
const PLAYBACK = `(async () => {
  const peer = window.peers.at(-1);
  const startMs = (kind, clockKhz) => {
    const receiver = peer.getReceivers().find(({ track }) => track.kind === kind);
    const [{ timestamp, rtpTimestamp }] = receiver.getSynchronizationSources();
    return timestamp - rtpTimestamp / clockKhz;
  };
  const stats = [...(await peer.getStats()).values()];
  return {
    connections: window.peers.length,
    framesDecoded: stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video').framesDecoded,
    offsetMs: startMs('audio', 48) - startMs('video', 90),
  };
})()`;

describe('page in Firefox', () => {
  let stack: Stack;
  /** Every page's path to the TURN server. */
  let relay: ImpairmentRelay;
  let browser: TestFirefox;
  let producer: Producer;

  beforeAll(async () => {
    const address = ownAddress();
    relay = await startUdpImpairment({ address, targetPort: () => stack.turn?.port ?? 0, profile: 'alive' });
    const env = { TURN_URLS: `turn:${address}:${relay.port}?transport=udp` };
    stack = await startStack({ senders: 2, mediaAddress: address, env });
    producer = new Producer(stack);
    await makeBusyClip(join(stack.mediaDir, 'busy/idle/busy.mov'), { seconds: 4, fps: 30, size: '640x360' });
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2 });
    browser = await launchFirefox();
    await Promise.all([producer.idleLoaded('lights'), producer.idleLoaded('busy', 1, 60_000)]);
  });

  afterAll(async () => {
    await browser?.close();
    await relay?.close();
    await stack?.stop();
  });

  const presented = (page: FirefoxPage) => page.evaluate<number>('window.presented');
  const stateOf = (page: FirefoxPage) => page.evaluate<string>(PAGE_STATE);

  it.each(['SIGKILL', 'SIGTERM'] as const)('presents new frames after its media-sender got %s', async (signal) => {
    const session = await producer.createSession('lights');
    const page = await browser.newPage();
    await page.goto(producer.signaling(`/?session=${session.id}&token=${session.token}`));
    await page.evaluate(COUNT_FRAMES);
    await waitFor(
      'frames are presented',
      () => presented(page),
      (count) => count > 20,
    );
    expect(await stateOf(page)).toBe('playing');
    const host = await producer.hostOf(session.id);
    const victim = senderProcess(stack, host);
    victim.signal(signal);
    await victim.ended;
    await waitFor(
      'another media-sender hosts the session, and the page shows it',
      async () => [(await producer.session(session.id)).host, await stateOf(page)],
      ([now, state]) => now !== host && state === 'playing',
    );
    const before = await presented(page);
    await waitFor(
      'new frames are presented',
      () => presented(page),
      (count) => count > before + 60,
    );
    await page.close();
    await stack.revive(victim);
  });

  it('keeps its connection through an outage of 2 s, and is as in sync after it as before', async ({ annotate }) => {
    relay.restart('delay=25ms');
    const session = await producer.createSession('busy');
    const page = await browser.newPage();
    await page.addInitScript(KEEP_PEERS);
    await page.goto(producer.signaling(`/?session=${session.id}&token=${session.token}`));
    const playback = () => page.evaluate<Playback>(PLAYBACK);
    const before = await waitFor('video plays', playback, ({ framesDecoded }) => framesDecoded > 100);
    relay.restart('delay=25ms dead; 2s alive');
    const deadMs = performance.now();
    const { framesDecoded } = await waitFor('video stops', async () => {
      const [earlier, later] = [await playback(), await sleep(300).then(playback)];
      return later.framesDecoded === earlier.framesDecoded && later;
    });
    await waitFor('video moves', playback, (now) => now.framesDecoded > framesDecoded + 3);
    await annotate(`frames again ${Math.round(performance.now() - deadMs - 2000)} ms after the outage`);
    const isAsInSync = (now: Playback) => Math.abs(now.offsetMs - before.offsetMs) < 100;
    const isPlaying = (now: Playback) => now.framesDecoded > framesDecoded + 100 && isAsInSync(now);
    const { connections } = await waitFor('video and audio are as in sync as before', playback, isPlaying);
    expect(connections).toBe(1);
    await page.close();
  });

  it('plays video and audio through 5 % of loss', async ({ annotate }) => {
    relay.restart('loss=5% delay=25ms');
    const session = await producer.createSession('busy');
    const page = await browser.newPage();
    await page.goto(producer.signaling(`/?session=${session.id}&token=${session.token}`));
    const reports = new Map<number, NonNullable<ViewerState['report']>>();
    await waitFor(
      'ten reports since video plays',
      async () => {
        const report = (await producer.session(session.id)).viewers[0]?.report;
        if (report?.framesDecoded) reports.set(report.atMs, report);
        return reports.size;
      },
      (count) => count > 10,
    );
    expect(relay.counts.down.lost).toBeGreaterThan(20);
    relay.restart('alive');
    // The first one is about the start.
    const [first, ...all] = [...reports.values()];
    const sum = (name: 'packetsLost' | 'framesDecoded' | 'concealedSamples') =>
      all.reduce((total, report) => total + (report[name] ?? 0), 0);
    const seconds = ((all.at(-1)?.atMs ?? 0) - (first?.atMs ?? 0)) / 1000;
    const concealed = sum('concealedSamples') / 48_000 / seconds;
    await annotate(`${(sum('framesDecoded') / seconds).toFixed(1)} fps, ${(concealed * 100).toFixed(1)} % concealed`);
    expect(sum('framesDecoded')).toBeGreaterThan(15 * seconds);
    expect(concealed).toBeLessThan(0.1);
    await page.close();
  });
});
