/**
 * Bad networks: what a viewer in headless Chromium sees and hears through the impairment relay, on the whole stack as built,
 * beside a page of the same Chromium that sends the same kind of video with libwebrtc through the same impairments.
 *
 *     npm run build && npm run bench:network [-- --only TEXT] [--seed N] [--json FILE] [--plots DIR] [--humancast-only]
 *
 * Frozen: the time in gaps between two frames on the screen of more than 183 ms, less a frame's time. Concealed: the share of
 * the audio that the browser made up, silence left out. Skew: the median over the last third; positive: video is late.
 */
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  type Cleanup,
  type ImpairmentRelay,
  launchChromium,
  makeBusyClip,
  startTcpImpairment,
  startUdpImpairment,
  withCleanup,
} from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { describeMachine, machineLines } from './lib/machine.ts';
import { servePages } from './lib/page-server.ts';
import { readSum } from './lib/prometheus.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';
import { drawNetworkPlot, type Estimate } from './network/plot.ts';
import { PROFILES, type Profile } from './network/profiles.ts';
import type { Run } from './network/viewer.ts';

const FRAME_MS = 1000 / 30;
const FREEZE_MS = 150 + FRAME_MS;

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    plots: { type: 'string' },
    'humancast-only': { type: 'boolean', default: false },
  },
});
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\nload ${loadavg()[0]?.toFixed(1)}\n`);
const profiles = PROFILES.filter(({ name }) => name.includes(values.only));
const results = await withCleanup(measure);
if (values.json !== undefined) {
  const result = { bench: 'network', at: new Date().toISOString(), machine, load: loadavg(), results };
  await writeFile(values.json, `${JSON.stringify(result, null, 1)}\n`);
}

interface Seen {
  readonly frozenSeconds: number;
  readonly concealedPercent: number;
  readonly framesPerSecond: number;
  readonly skewMs: number | undefined;
  readonly heights: readonly number[];
  readonly connections: number;
}

async function measure(cleanup: Cleanup) {
  const mediaDir = temporaryFolder(cleanup);
  await makeBusyClip(join(mediaDir, 'busy/idle/busy.mov'), { seconds: 10, fps: 30, size: '1280x720' });
  const origin = await servePages(cleanup);
  const { stack, producer } = await openScene(cleanup, { mediaDir, env: { ALLOWED_ORIGINS: origin } });
  if (!stack.turn) throw new Error('there is no TURN server');
  const impairment = { targetPort: stack.turn.port, profile: '', seed: Number(values.seed) };
  const relays = { udp: await startUdpImpairment(impairment), tcp: await startTcpImpairment(impairment) };
  for (const relay of Object.values(relays)) cleanup.add(() => relay.close());
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const iceServer = stack.turn.iceServer();
  const metricsUrl = stack.processes.find(({ name }) => name === 'media-sender')?.metricsUrl ?? '';
  const all: { profile: Profile; humancast: Seen; libwebrtc: Seen | undefined; run: Run }[] = [];
  for (const profile of profiles) {
    const transport: keyof typeof relays = profile.transport ?? 'udp';
    const relay = relays[transport];
    const through = { port: relay.port, transport } as const;
    const watch = async (page: Page) => {
      const { id, token } = await producer.createSession('busy');
      const what = { url: stack.signalingUrl, session: id, token, relay: through };
      await page.evaluate((options) => networkBench.watch(options), what);
    };
    const exchange = (page: Page) =>
      page.evaluate((options) => networkBench.exchange(options), { iceServer, relay: through });
    const open = async () => {
      const page = await chromium.context.newPage();
      await page.goto(`${origin}/bench/network/viewer.html`);
      await page.waitForFunction(() => 'networkBench' in globalThis);
      return page;
    };
    const estimates = watchEstimate(metricsUrl);
    const run = await observe(await open(), relay, profile, watch, estimates.begin);
    estimates.stop();
    const other = values['humancast-only'] ? undefined : await observe(await open(), relay, profile, exchange);
    const humancast = seen(run, profile);
    const libwebrtc = other && seen(other, profile);
    print(profile, humancast, libwebrtc);
    all.push({ profile, humancast, libwebrtc, run });
    if (values.plots !== undefined && profile.plot !== undefined) {
      const sides = [
        { name: 'humancast', run, freezes: freezesOf(run, profile), estimates: estimates.seen },
        ...(other ? [{ name: 'libwebrtc', run: other, freezes: freezesOf(other, profile) }] : []),
      ];
      const file = join(values.plots, `network-${profile.plot}.png`);
      await drawNetworkPlot(chromium.context, file, profile, sides, machineLines(machine));
    }
  }
  return all;
}

/** One viewer's time under a profile, from its first video on. */
async function observe(
  page: Page,
  relay: ImpairmentRelay,
  { line, seconds }: Profile,
  start: (page: Page) => Promise<void>,
  begun = () => {},
): Promise<Run> {
  // The first phase is there from the start; the times of the others count from the first video.
  relay.restart(line.split(';')[0]);
  await start(page);
  relay.restart(line);
  begun();
  await sleep(seconds * 1000);
  const run = await page.evaluate(() => networkBench.finish());
  await page.close();
  return run;
}

/** A media-sender tells its estimates as a histogram, once a second for each viewer; here there is one viewer. */
function watchEstimate(metricsUrl: string) {
  const seen: Estimate[] = [];
  let beganAt = performance.now();
  let before = { sum: 0, count: 0 };
  const timer = setInterval(() => {
    void readSum(metricsUrl, 'humancast_sender_estimate_bits_per_second').then((now) => {
      const count = now.count - before.count;
      if (count > 0) seen.push({ atMs: performance.now() - beganAt, bps: (now.sum - before.sum) / count });
      before = now;
    });
  }, 1000);
  return {
    seen,
    begin: () => {
      seen.length = 0;
      beganAt = performance.now();
    },
    stop: () => clearInterval(timer),
  };
}

/** Each longer than FREEZE_MS, without the frame that was due. */
function freezesOf({ framesMs }: Run, { from, seconds }: Profile): [fromMs: number, untilMs: number][] {
  const [fromMs, untilMs] = [from * 1000, seconds * 1000];
  const edges = [fromMs, ...framesMs.filter((ms) => ms >= fromMs && ms < untilMs), untilMs];
  return edges.slice(1).flatMap((ms, i) => {
    const before = edges[i] ?? ms;
    return ms - before > FREEZE_MS ? [[before + FRAME_MS, ms] as [number, number]] : [];
  });
}

function seen(run: Run, profile: Profile): Seen {
  const { framesMs, samples, connections } = run;
  const { from, seconds } = profile;
  const fromMs = from * 1000;
  const frozenMs = freezesOf(run, profile).reduce((sum, [began, ended]) => sum + (ended - began), 0);
  const counted = samples.filter(({ atMs }) => atMs >= fromMs);
  const [first, last] = [counted[0], counted.at(-1)];
  const heard = (last?.audioSamples ?? 0) - (first?.audioSamples ?? 0);
  const concealed = (last?.concealedSamples ?? 0) - (first?.concealedSamples ?? 0);
  const skews = counted
    .slice(-Math.ceil(counted.length / 3))
    .flatMap(({ skewMs }) => (skewMs === undefined ? [] : [skewMs]));
  return {
    frozenSeconds: frozenMs / 1000,
    concealedPercent: heard > 0 ? (100 * concealed) / heard : 100,
    framesPerSecond: framesMs.filter((ms) => ms >= fromMs && ms < seconds * 1000).length / (seconds - from),
    skewMs: skews.length > 0 ? percentile(skews, 0.5) : undefined,
    heights: [...new Set(counted.map(({ height }) => height))],
    connections,
  };
}

function print({ name, line }: Profile, humancast: Seen, libwebrtc: Seen | undefined): void {
  const text = ({ frozenSeconds, concealedPercent, framesPerSecond, skewMs, heights, connections }: Seen) =>
    [
      `${frozenSeconds.toFixed(1)} s frozen`,
      `${concealedPercent.toFixed(1)} % concealed`,
      `${framesPerSecond.toFixed(0)} fps`,
      `skew ${skewMs?.toFixed(0) ?? '–'} ms`,
      `heights ${heights.join(' ')}`,
      `${connections} connections`,
    ].join(', ');
  console.log(`${name} (${line})\n  humancast  ${text(humancast)}`);
  if (libwebrtc) console.log(`  libwebrtc  ${text(libwebrtc)}`);
}
