/**
 * Measures lip-sync, pacing and barge-in on the built stack: real service processes, Redis, coturn on loopback, and headless
 * Chromium. The clip has a white flash and a 1 kHz beep once a second that start at the same instant.
 *
 *     npm run build && npm run bench:sync -- [options]
 *
 * The method and the limits of each figure are described in its file: sync/wire.ts, sync/browser.ts, sync/pacing.ts,
 * sync/interrupt.ts; the design for comparison is sync-peer/peer.py. Exits with 1 if an aim is missed. Timing figures need
 * an otherwise idle machine.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  type Cleanup,
  launchChromium,
  makeBusyClip,
  makePlainClip,
  makeSyncClip,
  withCleanup,
} from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { type Figure, judge, printComparison, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { servePages } from './lib/page-server.ts';
import { openScene, type Scene, temporaryFolder } from './lib/scene.ts';
import { openViewerPage, type ViewerRun, watchPeer, watchSession } from './sync/browser.ts';
import { figuresOf, readRun, type ViewerFigures } from './sync/browser-figures.ts';
import { measureInterrupts } from './sync/interrupt.ts';
import { measurePacing } from './sync/pacing.ts';
import { Peer } from './sync/peer.ts';
import { drawPlot } from './sync/plot.ts';
import { measureWire } from './sync/wire.ts';

const PARTS = ['wire', 'chromium', 'interrupt', 'pacing'] as const;
type Part = (typeof PARTS)[number];

interface ChromiumRun {
  readonly name: string;
  readonly run: ViewerFigures;
  readonly figures: readonly Figure[];
}

const CLIP_SECONDS = 10;
const SYNC_CLIP = 'sync/idle/sync.mov';
/** Time to settle before the measurement. */
const SETTLE_SECONDS = 10;

const HELP = `npm run bench:sync -- [options]
  --seconds N     measured time of wire, chromium and pacing (60)
  --minutes N     duration of the Chromium part, with a fitted trend (a session's token lasts an hour)
  --peer aiortc   also measures the design for comparison, same clip and browser
  --no-trim       also measures the client without its trim
  --sessions N    sessions of the pacing part (20)
  --interrupts N  number of interrupts (100)
  --skip PART     ${PARTS.join(', ')}; may be repeated
  --json FILE     writes figures and raw data
  --plot FILE     writes the lip-sync plot as a PNG`;

const options = readOptions();
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\n`);

const figures: Figure[] = [];
const raw: Record<string, unknown> = {};
let runs: readonly ChromiumRun[] = [];

await withCleanup(async (cleanup) => {
  const mediaDir = temporaryFolder(cleanup);
  await makeClips(mediaDir);
  if (PARTS.some((part) => part !== 'pacing' && wanted(part))) {
    await withCleanup((inner) => measureOneSession(inner, mediaDir));
  }
  if (wanted('pacing')) {
    const { sessions, seconds } = options;
    progress(`pacing: ${sessions} sessions, ${seconds} s`);
    const what = { mediaDir, avatar: 'busy', sessions, seconds };
    figures.push(...(await withCleanup((inner) => measurePacing(inner, what))));
  }
});
await report();

async function makeClips(dir: string): Promise<void> {
  const hd = { seconds: CLIP_SECONDS, fps: 30, size: '1280x720' };
  const small = { ...hd, size: '640x360' };
  if (wanted('wire') || wanted('chromium')) await makeSyncClip(join(dir, SYNC_CLIP), hd);
  if (wanted('pacing')) await makeBusyClip(join(dir, 'busy/idle/busy.mov'), hd);
  if (!wanted('interrupt')) return;
  await makePlainClip(join(dir, 'voice/idle/silence.mov'), { ...small, color: 'black' });
  await makePlainClip(join(dir, 'voice/segments/tone.mov'), { ...small, color: 'white', toneHz: 440 });
}

/** The parts that need one session at a time. */
async function measureOneSession(cleanup: Cleanup, mediaDir: string): Promise<void> {
  const origin = await servePages(cleanup);
  const scene = await openScene(cleanup, { mediaDir, env: { ALLOWED_ORIGINS: origin } });
  if (wanted('wire')) {
    progress(`wire: ${options.seconds} s`);
    const wire = await measureWire(scene, 'sync', options.seconds);
    figures.push(...wire.figures);
    raw['wire'] = wire.pairs;
  }
  if (wanted('chromium')) {
    runs = await withCleanup((inner) => measureChromium(inner, scene, origin, join(mediaDir, SYNC_CLIP)));
    figures.push(...(runs[0]?.figures ?? []));
    raw['chromium'] = runs;
  }
  if (wanted('interrupt')) {
    progress(`interrupt: ${options.interrupts} times`);
    const what = { avatar: 'voice', segment: 'tone', count: options.interrupts };
    const interrupt = await measureInterrupts(scene, what);
    figures.push(...interrupt.figures);
    raw['interrupt'] = interrupt.interrupts;
  }
}

/** Measures humancast first, then the design for comparison, in the same browser. */
async function measureChromium(cleanup: Cleanup, scene: Scene, origin: string, clip: string): Promise<ChromiumRun[]> {
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const seconds = options.minutes === undefined ? options.seconds + SETTLE_SECONDS : options.minutes * 60;
  const done: ChromiumRun[] = [];
  const measure = async (name: string, watch: (page: Page) => Promise<ViewerRun>) => {
    progress(`chromium, ${name}: ${seconds} s`);
    const page = await openViewerPage(chromium.context, origin);
    const run = readRun(await watch(page));
    await page.close();
    const judged = { judged: done.length === 0, trends: options.minutes !== undefined };
    done.push({ name, run, figures: figuresOf(`In Chromium: ${name}`, run, judged) });
  };
  await measure('humancast', (page) => watchSession(scene, page, { avatar: 'sync', seconds, trim: true }));
  if (options.peer) {
    const turn = needed(scene.stack.turn);
    const peer = await Peer.start(cleanup, clip);
    await measure('aiortc', (page) => watchPeer(page, peer, turn, seconds));
    await peer.close();
  }
  if (options.noTrim) {
    await measure('without trim', (page) => watchSession(scene, page, { avatar: 'sync', seconds, trim: false }));
  }
  if (options.plot !== undefined) {
    const series = done.map(({ name, run }) => ({ name, pairs: run.presented }));
    await drawPlot(chromium.context, options.plot, series, machineLines(machine).join(' · '));
  }
  return done;
}

async function report(): Promise<void> {
  console.log();
  printFigures(figures);
  if (runs.length > 1) printComparison('Side by side, same clip, same browser', runs);
  if (options.json !== undefined) {
    const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
    const result = { bench: 'sync', at: new Date().toISOString(), machine, options, figures: judged, raw };
    await writeFile(options.json, `${JSON.stringify(result, null, 1)}\n`);
  }
  if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', default: false },
      seconds: { type: 'string', default: '60' },
      minutes: { type: 'string' },
      peer: { type: 'string' },
      'no-trim': { type: 'boolean', default: false },
      sessions: { type: 'string', default: '20' },
      interrupts: { type: 'string', default: '100' },
      skip: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      plot: { type: 'string' },
    },
  });
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  const { peer } = values;
  const skip = values.skip.flatMap((list) => list.split(','));
  if (peer !== undefined && peer !== 'aiortc') fail('--peer must be aiortc');
  for (const part of skip)
    if (!PARTS.some((known) => known === part)) fail(`--skip must be one of ${PARTS.join(', ')}`);
  return {
    seconds: count('seconds', values.seconds, 3600),
    minutes: values.minutes === undefined ? undefined : count('minutes', values.minutes, 55),
    sessions: count('sessions', values.sessions, 500),
    interrupts: count('interrupts', values.interrupts, 10_000),
    peer: peer !== undefined,
    noTrim: values['no-trim'],
    skip,
    json: values.json,
    plot: values.plot,
  };
}

function count(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) fail(`--${name} must be a number from 1 to ${most}`);
  return value;
}

function fail(message: string): never {
  console.error(`${message}\n\n${HELP}`);
  process.exit(2);
}

function wanted(part: Part): boolean {
  return !options.skip.includes(part);
}

function progress(what: string): void {
  console.error(`… ${what}`);
}

function needed<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the stack was started without a TURN server');
  return value;
}
