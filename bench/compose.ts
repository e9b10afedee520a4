/**
 * Measures `docker compose up` in real containers: time to build and to start, image sizes, and the time to join through the
 * published ports.
 *
 *     npm run build && npm run bench:compose [-- --joins 20] [--json FILE]
 *
 * Needs root or a Docker engine. The engine that it starts is empty and cannot reach a registry, so the base images are
 * stand-ins built from Debian's packages (tests/containers/base-images.sh); Node's is 245 MB of every image. Building is
 * measured from scratch without the base images; starting, from `up` to the first decoded frame in a running Chromium, once
 * with empty volumes (cold) and once after `down` (warm). Joins are those of bench/join.ts; each transport is selected by
 * leaving out the relay's other URLs.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Cleanup, launchChromium, makeBusyClip, Producer, ViewerPage, withCleanup } from '@humancast/testkit';
import type { BrowserContext, Page } from 'playwright-core';
import { Compose, makeCertificate } from '../tests/containers/compose.ts';
import { startEngine } from '../tests/containers/engine.ts';
import { type Figure, judge, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { servePages } from './lib/page-server.ts';
import { cpuSeconds } from './lib/processes.ts';
import { percentile } from './lib/stats.ts';

const IMAGES = ['signaling', 'media-sender', 'segment-loader', 'demo-producer'];
const TRANSPORTS = { UDP: 'turn:.*udp', TCP: 'turn:.*tcp', TLS: 'turns:' } as const;
const WARM_UP_JOINS = 2;
const STREAMS = 3;
const STREAM_SECONDS = 10;
const MB = 1e6;

const { values } = parseArgs({ options: { joins: { type: 'string', default: '20' }, json: { type: 'string' } } });
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\n`);
const figures = await withCleanup(measure);
printFigures(figures);
if (values.json !== undefined) {
  const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
  const result = { bench: 'compose', at: new Date().toISOString(), machine, figures: judged };
  await writeFile(values.json, `${JSON.stringify(result, null, 1)}\n`);
}
if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;

async function measure(cleanup: Cleanup): Promise<Figure[]> {
  const engine = await startEngine();
  cleanup.add(() => engine.stop());
  const origin = await servePages(cleanup);
  const apiKey = randomBytes(16).toString('hex');
  const env = { ...engine.env, ALLOWED_ORIGINS: origin, HUMANCAST_API_KEY: apiKey };
  const compose = await Compose.create({ ...engine, env });
  cleanup.add(() => compose.remove());
  await makeBusyClip(join(compose.mediaDir, 'busy/idle/busy.mov'), { seconds: 5, fps: 30, size: '1280x720' });
  execFileSync('chmod', ['-R', 'a+rX', compose.mediaDir]);
  const { certificate, key } = makeCertificate(compose.dir);
  compose.useCertificate(certificate, key);
  const chromium = await launchChromium({ handleSignals: false, args: ['--ignore-certificate-errors'] });
  cleanup.add(() => chromium.close());
  const producer = new Producer({ signalingUrl: compose.url('SIGNALING_PORT'), apiKey });
  const scene: Scene = { compose, producer, context: chromium.context, origin };

  compose.makeBases();
  progress('build');
  const buildSeconds = timed(() => compose.run('build'));
  const sizes = IMAGES.map((name) => {
    const bytes = Number(compose.docker('image', 'inspect', '--format', '{{.Size}}', `humancast/${name}`));
    return {
      group: 'Containers',
      name: `image of ${name}`,
      unit: 'MB',
      digits: 0,
      value: bytes / MB,
      aim: { atMost: 350 },
    };
  });
  const cold = await startToFrame(scene, 'cold');
  compose.run('down');
  const warm = await startToFrame(scene, 'warm');
  const seconds = { group: 'Containers', unit: 's' };
  return [
    { ...seconds, name: 'build from scratch, with base images', value: buildSeconds },
    ...sizes,
    { ...seconds, name: 'up to first frame, cold', value: cold, aim: { atMost: 20 } },
    { ...seconds, name: 'up to first frame, warm', value: warm, aim: { atMost: 8 } },
    ...(await joinFigures(scene)),
    await relayFigure(scene),
  ];
}

interface Scene {
  readonly compose: Compose;
  readonly producer: Producer;
  readonly context: BrowserContext;
  readonly origin: string;
}

async function startToFrame(scene: Scene, what: string): Promise<number> {
  progress(`up, ${what}`);
  const page = await openJoinPage(scene);
  const since = performance.now();
  scene.compose.run('up', '-d');
  await untilAnswers(scene.compose);
  await joinOnce(scene, page);
  const seconds = (performance.now() - since) / 1000;
  await page.close();
  return seconds;
}

/** The published port accepts connections before the service listens. */
async function untilAnswers(compose: Compose): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const answer = await fetch(compose.url('SIGNALING_PORT', '/readyz')).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(100);
  }
  throw new Error('signaling was not ready within a minute');
}

async function joinFigures(scene: Scene): Promise<Figure[]> {
  const found: Figure[] = [];
  for (const [transport, pattern] of Object.entries(TRANSPORTS)) {
    progress(`joins over ${transport}`);
    const page = await openJoinPage(scene, pattern);
    const frames: number[] = [];
    for (let i = 0; i < Number(values.joins) + WARM_UP_JOINS; i++) frames.push(await joinOnce(scene, page));
    await page.close();
    const measured = frames.slice(WARM_UP_JOINS);
    const figure = { group: 'Join to first frame, through coturn in its container', unit: 'ms', digits: 0 };
    found.push({
      ...figure,
      name: `over ${transport}, median`,
      value: percentile(measured, 0.5),
      note: `${measured.length} joins`,
    });
  }
  return found;
}

async function joinOnce({ compose, producer }: Scene, page: Page): Promise<number> {
  const { id, token } = await producer.createSession('busy');
  const what = { url: compose.url('SIGNALING_PORT'), session: id, token };
  const { firstFrameMs } = await page.evaluate((options) => joinBench.join(options), what);
  await producer.endSession(id);
  return firstFrameMs;
}

/** @param pattern selects relay URLs; default: all. */
async function openJoinPage({ context, origin }: Scene, pattern = ''): Promise<Page> {
  const page = await context.newPage();
  await page.addInitScript((source) => {
    const Native = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Native {
      constructor(configuration: RTCConfiguration = {}) {
        const iceServers = configuration.iceServers?.map((server) => ({
          ...server,
          urls: [server.urls].flat().filter((url) => new RegExp(source).test(url)),
        }));
        super({ ...configuration, ...(iceServers && { iceServers }) });
      }
    };
  }, pattern);
  await page.goto(`${origin}/bench/join/viewer.html`);
  await page.waitForFunction(() => 'joinBench' in globalThis);
  return page;
}

/** Measures coturn's CPU for a stream of 720p30 at 1.5 Mb/s with audio, over UDP. */
async function relayFigure({ compose, producer, context }: Scene): Promise<Figure> {
  progress('coturn');
  const pages = await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const { id, token } = await producer.createSession('busy');
      const page = await context.newPage();
      await page.goto(compose.url('SIGNALING_PORT', `/?session=${id}&token=${token}`));
      await new ViewerPage(page).playing();
      return page;
    }),
  );
  const [coturn] = compose.containersOf('coturn');
  // The first process of a container is Docker's init.
  const pids =
    compose
      .docker('top', coturn?.Id ?? '', '-eo', 'pid')
      .match(/\d+/g)
      ?.map(Number) ?? [];
  const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  await sleep(STREAM_SECONDS * 1000);
  const share = (used() - before) / STREAM_SECONDS / STREAMS;
  for (const page of pages) await page.close();
  return { group: 'Containers', name: 'coturn, per stream', unit: '% of a core', digits: 2, value: 100 * share };
}

function timed(run: () => void): number {
  const since = performance.now();
  run();
  return (performance.now() - since) / 1000;
}

function progress(what: string): void {
  console.error(`… ${what}`);
}
