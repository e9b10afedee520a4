import { join } from 'node:path';
import {
  type ImpairmentRelay,
  launchChromium,
  makeBusyClip,
  Producer,
  type Stack,
  startStack,
  startUdpImpairment,
  type TestChromium,
  ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What the page has displayed and received, from its statistics. */
interface Figures {
  /** Peer connections made so far. */
  readonly connections: number;
  readonly framesDecoded: number;
  readonly packetsReceived: number;
  /** How much later video is played than audio, ms. */
  readonly skewMs: number;
  readonly jitterBufferTargets: readonly (number | null)[];
}

/** The real page behind an impaired path to its TURN server. The figures are those of `npm run bench:network`, with wide margins. */
describe('a page on a bad network', () => {
  let stack: Stack;
  let browser: TestChromium;
  let producer: Producer;
  let relay: ImpairmentRelay;

  beforeAll(async () => {
    stack = await startStack();
    producer = new Producer(stack);
    relay = await startUdpImpairment({ targetPort: stack.turn?.port ?? 0, profile: 'alive' });
    await makeBusyClip(join(stack.mediaDir, 'busy/idle/busy.mov'), { seconds: 4, fps: 30, size: '640x360' });
    browser = await launchChromium();
    await waitFor(
      'the idle clip is loaded',
      () => producer.idleCount('busy'),
      (count) => count === 1,
      60_000,
    );
  });

  afterAll(async () => {
    await browser?.close();
    await relay?.close();
    await stack?.stop();
  });

  it('goes on with the same connection after a black-out of 2 s, in sync', async () => {
    const viewer = await open('delay=25ms');
    await waitFor(
      'the skew is known',
      () => figures(viewer),
      ({ skewMs }) => Number.isFinite(skewMs),
    );
    relay.restart('delay=25ms dead; 2s alive');
    const stateOf = () => viewer.page.evaluate(() => document.querySelector('.pill')?.getAttribute('data-state'));
    await waitFor('the loss is noticed', stateOf, (state) => state === 'reconnecting');
    const { framesDecoded } = await figures(viewer);
    await waitFor(
      'video moves',
      () => figures(viewer),
      (now) => now.framesDecoded > framesDecoded + 15,
    );
    await waitFor('the page plays', stateOf, (state) => state === 'playing');
    const { connections } = await waitFor('video and audio are in sync', () => figures(viewer), inSync);
    expect(connections).toBe(1);
    await viewer.page.close();
  });

  it('delays both tracks for repairs while packets are lost, within bounds and in sync', async () => {
    const viewer = await open('loss=5% delay=40ms');
    const isDelayed = ({ jitterBufferTargets }: Figures) => jitterBufferTargets.every((ms) => (ms ?? 0) > 100);
    const { jitterBufferTargets } = await waitFor('both tracks are delayed', () => figures(viewer), isDelayed, 40_000);
    // For repairs at most 400 ms, for lip-sync at most 150 ms more.
    for (const ms of jitterBufferTargets) expect(ms).toBeLessThanOrEqual(550);
    await waitFor('video and audio are in sync', () => figures(viewer), inSync);
    await viewer.page.close();
  });

  it('plays over a link that carries little more than audio, with the first connection', async () => {
    const viewer = await open('rate=150k queue=1s delay=25ms');
    expect((await figures(viewer)).connections).toBe(1);
    await viewer.page.close();
  });

  async function open(profile: string): Promise<ViewerPage> {
    relay.restart(profile);
    const session = await producer.createSession('busy');
    const url = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    const viewer = await ViewerPage.open(await browser.context.newPage(), url, { turnPorts: { udp: relay.port } });
    await viewer.playing(30_000);
    return viewer;
  }
});

describe('a page on a network that blocks UDP', () => {
  let stack: Stack;
  let browser: TestChromium;
  let producer: Producer;
  let relay: ImpairmentRelay;

  beforeAll(async () => {
    stack = await startStack({ turnTransport: 'both' });
    producer = new Producer(stack);
    relay = await startUdpImpairment({ targetPort: stack.turn?.port ?? 0, profile: 'dead' });
    await makeBusyClip(join(stack.mediaDir, 'busy/idle/busy.mov'), { seconds: 2, fps: 30, size: '320x180' });
    browser = await launchChromium();
    await waitFor(
      'the idle clip is loaded',
      () => producer.idleCount('busy'),
      (count) => count === 1,
      60_000,
    );
  });

  afterAll(async () => {
    await browser?.close();
    await relay?.close();
    await stack?.stop();
  });

  it('plays over TURN/TCP with its first connection, before a time limit of any part', async () => {
    const session = await producer.createSession('busy');
    const url = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    const viewer = await ViewerPage.open(await browser.context.newPage(), url, { turnPorts: { udp: relay.port } });
    await viewer.playing();
    expect((await figures(viewer)).connections).toBe(1);
    expect(relay.counts.up.lost, 'UDP was tried').toBeGreaterThan(0);
    const firstFrameSeconds = await waitFor('the report', () => reportedFirstFrame());
    expect(firstFrameSeconds).toBeLessThan(3);
    await viewer.page.close();
  });

  /** @returns the time from the page's call of connect() to its first frame, seconds, as the page has reported it. */
  async function reportedFirstFrame(): Promise<number | undefined> {
    const sender = stack.processes.find(({ name }) => name === 'media-sender');
    const text = await (await fetch(`${sender?.metricsUrl}/metrics`)).text();
    return Number(/^humancast_viewer_first_frame_seconds_sum(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1]) || undefined;
  }
});

function inSync({ skewMs }: Figures): boolean {
  return Math.abs(skewMs) < 60;
}

function figures({ page }: ViewerPage): Promise<Figures> {
  return page.evaluate(async () => {
    const { peers } = window as unknown as { peers: RTCPeerConnection[] };
    const peer = peers.at(-1);
    const rows = [...((await peer?.getStats())?.values() ?? [])].filter(({ type }) => type === 'inbound-rtp');
    const [audio, video] = ['audio', 'video'].map((kind) => rows.find((row) => row.kind === kind));
    return {
      connections: peers.length,
      framesDecoded: video?.framesDecoded ?? 0,
      packetsReceived: (audio?.packetsReceived ?? 0) + (video?.packetsReceived ?? 0),
      skewMs: (audio?.estimatedPlayoutTimestamp ?? Number.NaN) - (video?.estimatedPlayoutTimestamp ?? Number.NaN),
      jitterBufferTargets: peer?.getReceivers().map(({ jitterBufferTarget }) => jitterBufferTarget) ?? [],
    };
  });
}
