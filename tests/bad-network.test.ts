import { join } from 'node:path';
import {
  type ImpairmentRelay,
  launchChromium,
  makeBusyClip,
  PAGE_STATE,
  Producer,
  type Stack,
  type StackOptions,
  startStack,
  startTcpImpairment,
  startUdpImpairment,
  type TestChromium,
  ViewerPage,
  type ViewerPageOptions,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROFILES } from '../bench/network/profiles.ts';
import { type Figures, figures, inSync } from './support/figures.ts';

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
    const stateOf = () => viewer.page.evaluate<string>(PAGE_STATE);
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
    // At most 700 ms for repairs and queues, 90 ms for a slow decoder, and 150 ms for lip-sync.
    for (const ms of jitterBufferTargets) expect(ms).toBeLessThanOrEqual(940);
    await waitFor('video and audio are in sync', () => figures(viewer), inSync);
    await viewer.page.close();
  });

  it.each(['10 % loss, 100 ms', '2 % loss, 300 ms', 'jitter of 30 ms'])(
    'plays video and audio in sync on its first connection with %s',
    async (name) => {
      const [path] = pathsOf(name);
      const viewer = await scene.open(path);
      await playsInSync(viewer);
      await viewer.page.close();
    },
  );

  it.for([
    // Each frame of the smallest rendition takes so long that the browser's estimates vary.
    { name: '5 to 0.5 Mb/s', narrow: { frames: 100, maxSkewMs: 120 } },
    // A few frames a second
    { name: '5 to 0.25 Mb/s', narrow: { frames: 40, maxSkewMs: 250 } },
  ])(
    'gets smaller video when its link falls from $name, and larger video when the link recovers, on one connection',
    async ({ name, narrow: expected }, { annotate }) => {
      const [wide, narrow] = pathsOf(name);
      const viewer = await scene.open(wide);
      const heightOf = async () => (await figures(viewer)).height;
      await waitFor('the largest rendition', heightOf, (height) => height === 360);
      scene.relay.restart(narrow);
      await waitFor('the smallest rendition', heightOf, (height) => height === 180);
      await playsInSync(viewer, expected);
      expect(await heightOf()).toBe(180);
      scene.relay.restart(wide);
      const widenedMs = performance.now();
      await waitFor('the largest rendition again', heightOf, (height) => height === 360, 40_000);
      await annotate(`full size ${((performance.now() - widenedMs) / 1000).toFixed(1)} s after the recovery`);
      await playsInSync(viewer);
      await viewer.page.close();
    },
  );

  it('plays over a link with little more than the audio bitrate, on the first connection', async () => {
    const viewer = await scene.open('rate=150k queue=1s delay=25ms', { withinMs: 60_000 });
    expect((await figures(viewer)).connections).toBe(1);
    await viewer.page.close();
  });
});

describe('page on a network that blocks UDP', () => {
  let scene: Scene;
  /** Swallows all that is sent over TCP. */
  let blackHole: ImpairmentRelay;
  beforeAll(async () => {
    scene = await Scene.start({ seconds: 2, size: '320x180' }, { turnTransports: ['udp', 'tcp', 'tls'] });
    blackHole = await startTcpImpairment({ targetPort: scene.stack.turn?.port ?? 0, profile: 'dead' });
  });
  afterAll(async () => {
    await blackHole?.close();
    await scene?.stop();
  });

  it.each([
    ['TCP', 'tls', 'turn:'],
    ['TLS', 'tcp', 'turns:'],
  ] as const)('plays over TURN/%s on its first connection, before any timeout', async (_, blocked, scheme) => {
    const before = (await reportedFirstFrames()) ?? 0;
    const viewer = await scene.open('dead', { withinMs: 20_000, turnPorts: { [blocked]: blackHole.port } });
    expect((await figures(viewer)).connections).toBe(1);
    expect(scene.relay.counts.up.lost, 'UDP was tried').toBeGreaterThan(0);
    expect(await relayUrl(viewer)).toMatch(new RegExp(`^${scheme}.*transport=tcp$`));
    const after = await waitFor('the report', reportedFirstFrames, (sum) => sum > before);
    expect(after - before).toBeLessThan(3);
    await viewer.page.close();
  });

  /** @returns the time from connect() to the first frame, as reported by the pages, s in total. */
  async function reportedFirstFrames(): Promise<number> {
    const sender = scene.stack.processes.find(({ name }) => name === 'media-sender');
    const text = await (await fetch(`${sender?.metricsUrl}/metrics`)).text();
    return Number(/^humancast_viewer_first_frame_seconds_sum(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1]);
  }

  /** @returns the URL of the TURN server that the used candidate pair goes through. */
  function relayUrl({ page }: ViewerPage): Promise<string | undefined> {
    return page.evaluate(async () => {
      const { peers } = window as unknown as { peers: RTCPeerConnection[] };
      const stats = await peers.at(-1)?.getStats();
      const transport = [...(stats?.values() ?? [])].find(({ type }) => type === 'transport');
      const pair = stats?.get(transport?.selectedCandidatePairId ?? '');
      return stats?.get(pair?.localCandidateId ?? '')?.url;
    });
  }
});

describe('page whose network changes', () => {
  let scene: Scene;
  let door: ImpairmentRelay;
  beforeAll(async () => {
    scene = await Scene.start({ seconds: 4, size: '320x180' });
    const { port } = new URL(scene.stack.signalingUrl);
    door = await startTcpImpairment({ targetPort: Number(port), profile: 'delay=10ms' });
  });
  afterAll(async () => {
    await door?.close();
    await scene?.stop();
  });

  it('reconnects over another allocation as the same viewer of the same session, in sync', async ({ annotate }) => {
    const viewer = await scene.open('delay=25ms', { signalingPort: door.port });
    const { id, viewers } = await scene.session();
    await viewer.page.evaluate(() => Object.assign(window, { marked: true }));
    scene.relay.strand();
    door.strand();
    const strandedMs = performance.now();
    const { framesDecoded } = await waitFor(
      'frames arrive over another connection',
      () => figures(viewer),
      (now) => now.connections > 1 && now.framesDecoded > 0,
    );
    await annotate(`frames again ${Math.round(performance.now() - strandedMs)} ms after the change`);
    await waitFor(
      'video to continue in sync',
      () => figures(viewer),
      (now) => now.framesDecoded > framesDecoded + 30 && inSync(now),
    );
    expect((await figures(viewer)).connections).toBe(2);
    expect(await viewer.page.evaluate(() => 'marked' in window)).toBe(true);
    const now = await scene.session();
    expect(now).toMatchObject({ id, viewerCount: 1 });
    expect(now.viewers.map((each) => each.viewer)).toEqual(viewers.map((each) => each.viewer));
    await viewer.page.close();
  });
});

interface OpenOptions extends ViewerPageOptions {
  withinMs?: number;
  /** Port of a relay to signaling. Default: its own. */
  signalingPort?: number;
}

/** Starts a stack with one idle clip, whose TURN server pages reach over UDP only through an impairment relay. */
class Scene {
  readonly stack: Stack;
  readonly relay: ImpairmentRelay;
  readonly #producer: Producer;
  readonly #browser: TestChromium;
  #session = '';

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
    // The TURN server's certificate is self-signed.
    const browser = await launchChromium({ args: ['--ignore-certificate-errors'] });
    await producer.idleLoaded('busy', 1, 60_000);
    return new Scene(stack, relay, producer, browser);
  }

  /**
   * @param profile of the page's path to the TURN server over UDP, from now on.
   * @returns a page that plays, within `withinMs`.
   */
  async open(profile: string, options: OpenOptions = {}): Promise<ViewerPage> {
    const { withinMs = 30_000, turnPorts, signalingPort } = options;
    this.relay.restart(profile);
    const session = await this.#producer.createSession('busy');
    this.#session = session.id;
    const url = new URL(this.#producer.signaling(`/?session=${session.id}&token=${session.token}`));
    if (signalingPort !== undefined) url.port = String(signalingPort);
    const page = await this.#browser.context.newPage();
    const viewer = await ViewerPage.open(page, url.href, { turnPorts: { ...turnPorts, udp: this.relay.port } });
    await viewer.playing(withinMs);
    return viewer;
  }

  /** @returns the state of the session that was opened last. */
  session() {
    return this.#producer.session(this.#session);
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await this.relay.close();
    await this.stack.stop();
  }
}

/** @returns The benchmark's path before its first change, and after it. */
function pathsOf(name: string): [before: string, after: string] {
  const line = PROFILES.find((profile) => profile.name === name)?.line;
  if (line === undefined) throw new Error(`no profile is named ${name}`);
  const [before = '', change = ''] = line.split('; ');
  return [before, `${before} ${change.replace(/^\d+s/, '')}`];
}

/** Waits for some frames with less than 5 % of concealed audio, in sync, on the first connection. */
async function playsInSync(viewer: ViewerPage, { frames = 100, maxSkewMs = 60 } = {}): Promise<void> {
  await waitFor(
    `${frames} frames with audio`,
    async () => {
      const first = await figures(viewer);
      const isShown = ({ framesDecoded }: Figures) => framesDecoded > first.framesDecoded + frames;
      const last = await waitFor(`${frames} frames`, () => figures(viewer), isShown);
      return (last.concealedSamples - first.concealedSamples) / (last.audioSamples - first.audioSamples);
    },
    (concealed) => concealed < 0.05,
    40_000,
  );
  const { connections } = await waitFor(
    'video and audio are in sync',
    () => figures(viewer),
    ({ skewMs }) => Math.abs(skewMs) < maxSkewMs,
  );
  expect(connections).toBe(1);
}
