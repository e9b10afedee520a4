import { join } from 'node:path';
import {
  type ImpairmentRelay,
  launchChromium,
  makeBusyClip,
  Producer,
  type Stack,
  type StackOptions,
  startStack,
  startUdpImpairment,
  type TestChromium,
  ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Statistics of the page's playback. */
interface Figures {
  /** Number of peer connections created so far. */
  readonly connections: number;
  readonly framesDecoded: number;
  readonly packetsReceived: number;
  /** Video minus audio, ms: positive when the video is late. */
  readonly skewMs: number;
  readonly jitterBufferTargets: readonly (number | null)[];
}

/**
 * The real page behind an impaired path to its TURN server. The limits are wide versions of those of `npm run
 * bench:network`.
 */
describe('page on a bad network', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start({ seconds: 4, size: '640x360' });
  });
  afterAll(() => scene?.stop());

  it('keeps its connection through an outage of 2 s, and is in sync after it', async () => {
    const viewer = await scene.open('delay=25ms');
    await waitFor(
      'the skew is known',
      () => figures(viewer),
      ({ skewMs }) => Number.isFinite(skewMs),
    );
    scene.relay.restart('delay=25ms dead; 2s alive');
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

  it('delays both tracks equally, within limits, while packets are lost and repaired', async () => {
    const viewer = await scene.open('loss=5% delay=40ms');
    const isDelayed = ({ jitterBufferTargets }: Figures) => jitterBufferTargets.every((ms) => (ms ?? 0) > 100);
    const { jitterBufferTargets } = await waitFor('both tracks are delayed', () => figures(viewer), isDelayed, 40_000);
    // At most 400 ms for repairs, plus at most 150 ms for lip-sync.
    for (const ms of jitterBufferTargets) expect(ms).toBeLessThanOrEqual(550);
    await waitFor('video and audio are in sync', () => figures(viewer), inSync);
    await viewer.page.close();
  });

  it('plays over a link with little more than the audio bitrate, on the first connection', async () => {
    const viewer = await scene.open('rate=150k queue=1s delay=25ms');
    expect((await figures(viewer)).connections).toBe(1);
    await viewer.page.close();
  });
});

describe('page on a network that blocks UDP', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start({ seconds: 2, size: '320x180' }, { turnTransport: 'both' });
  });
  afterAll(() => scene?.stop());

  it('plays over TURN/TCP on its first connection, before any timeout', async () => {
    const viewer = await scene.open('dead', 20_000);
    expect((await figures(viewer)).connections).toBe(1);
    expect(scene.relay.counts.up.lost, 'UDP was tried').toBeGreaterThan(0);
    const firstFrameSeconds = await waitFor('the report', () => reportedFirstFrame());
    expect(firstFrameSeconds).toBeLessThan(3);
    await viewer.page.close();
  });

  /** @returns the time from connect() to the first frame, as reported by the page, s. */
  async function reportedFirstFrame(): Promise<number | undefined> {
    const sender = scene.stack.processes.find(({ name }) => name === 'media-sender');
    const text = await (await fetch(`${sender?.metricsUrl}/metrics`)).text();
    return Number(/^humancast_viewer_first_frame_seconds_sum(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1]) || undefined;
  }
});

/** Starts a stack with one idle clip, whose TURN server pages reach over UDP only through an impairment relay. */
class Scene {
  readonly stack: Stack;
  readonly relay: ImpairmentRelay;
  readonly #producer: Producer;
  readonly #browser: TestChromium;

  private constructor(stack: Stack, relay: ImpairmentRelay, producer: Producer, browser: TestChromium) {
    this.stack = stack;
    this.relay = relay;
    this.#producer = producer;
    this.#browser = browser;
  }

  static async start(clip: { seconds: number; size: string }, options?: StackOptions): Promise<Scene> {
    const stack = await startStack(options);
    const producer = new Producer(stack);
    const relay = await startUdpImpairment({ targetPort: stack.turn?.port ?? 0, profile: 'alive' });
    await makeBusyClip(join(stack.mediaDir, 'busy/idle/busy.mov'), { fps: 30, ...clip });
    const browser = await launchChromium();
    await producer.idleLoaded('busy', 1, 60_000);
    return new Scene(stack, relay, producer, browser);
  }

  /** @returns A page that plays within this time. @param profile impairment of its path to the TURN server from now on. */
  async open(profile: string, withinMs = 30_000): Promise<ViewerPage> {
    this.relay.restart(profile);
    const session = await this.#producer.createSession('busy');
    const url = this.#producer.signaling(`/?session=${session.id}&token=${session.token}`);
    const page = await this.#browser.context.newPage();
    const viewer = await ViewerPage.open(page, url, { turnPorts: { udp: this.relay.port } });
    await viewer.playing(withinMs);
    return viewer;
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await this.relay.close();
    await this.stack.stop();
  }
}

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
