/**
 * Measures the time from the page's `connect` to the first decoded frame, in headless Chromium with the product's client, on
 * the built stack, through coturn on loopback.
 *
 *     npm run build && node bench/join.ts [--joins 20] [--json FILE]
 *
 * Every join opens a new session without a host, so it includes the WebSocket, the job that finds a host, offer and answer,
 * the relay's allocation, ICE, DTLS, and the decoder's start. Page, stack and clip are warm: two joins before the first do
 * not count. A frame counts when it is handed to the screen's compositor (`presentationTime`), a few milliseconds after it
 * was decoded. Exits with 1 if the aim is missed.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Cleanup, launchChromium, makeBusyClip, withCleanup } from '@humancast/testkit';
import type { JoinTimes } from './join/viewer.ts';
import { type Figure, judge, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { servePages } from './lib/page-server.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const WARM_UP_JOINS = 2;
const GROUP = 'Join, through TURN over UDP';

const { values } = parseArgs({ options: { joins: { type: 'string', default: '20' }, json: { type: 'string' } } });
const joins = Number(values.joins);
if (!Number.isInteger(joins) || joins < 1 || joins > 1000) {
  console.error('--joins must be a number from 1 to 1000');
  process.exit(2);
}
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\n`);
const times = (await withCleanup(measure)).slice(WARM_UP_JOINS);
const figures = figuresOf(times);
printFigures(figures);
if (values.json !== undefined) {
  const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
  const result = { bench: 'join', at: new Date().toISOString(), machine, figures: judged, raw: times };
  await writeFile(values.json, `${JSON.stringify(result, null, 1)}\n`);
}
if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;

async function measure(cleanup: Cleanup): Promise<JoinTimes[]> {
  const mediaDir = temporaryFolder(cleanup);
  await makeBusyClip(join(mediaDir, 'busy/idle/busy.mov'), { seconds: 5, fps: 30, size: '1280x720' });
  const origin = await servePages(cleanup);
  const { stack, producer } = await openScene(cleanup, { mediaDir, env: { ALLOWED_ORIGINS: origin } });
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const page = await chromium.context.newPage();
  await page.goto(`${origin}/bench/join/viewer.html`);
  await page.waitForFunction(() => 'joinBench' in globalThis);
  const all: JoinTimes[] = [];
  for (let i = 0; i < joins + WARM_UP_JOINS; i++) {
    const { id, token } = await producer.createSession('busy');
    const what = { url: stack.signalingUrl, session: id, token };
    all.push(await page.evaluate((options) => joinBench.join(options), what));
    await producer.endSession(id);
  }
  return all;
}

function figuresOf(all: readonly JoinTimes[]): Figure[] {
  const ms = { group: GROUP, unit: 'ms', digits: 0 };
  const frames = all.map(({ firstFrameMs }) => firstFrameMs);
  return [
    {
      ...ms,
      name: 'first frame, median',
      aim: { atMost: 300 },
      value: percentile(frames, 0.5),
      note: `${all.length} joins`,
    },
    { ...ms, name: 'first frame, p95', value: percentile(frames, 0.95) },
    {
      ...ms,
      name: '… of which: offer, median',
      value: percentile(
        all.map(({ offerMs }) => offerMs),
        0.5,
      ),
    },
    {
      ...ms,
      name: '… connected, median',
      value: percentile(
        all.map(({ connectedMs }) => connectedMs),
        0.5,
      ),
    },
  ];
}
