/**
 * Typed text: measures the time from the Enter key to the first audio, by stage, and from a key to the end of the
 * interrupted speech. Uses the console in headless Chromium, the demo producer and the built stack, through coturn on
 * loopback.
 *
 *     npm run build && node bench/say.ts [--texts 12] [--json FILE]
 *
 * The page records key presses, and reads every 10 ms of audio as it leaves the jitter buffer; the loudspeaker's delay is
 * not included. Stages come from the demo producer's log and the session's events; all clocks are this machine's. Speech has
 * ended with its last audio before a silence longer than any pause. The page mutes it before it ends in the stream, so both
 * times are reported.
 */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Humancast, type SessionEvent } from '@humancast/producer';
import { type Cleanup, freePort, launchChromium, startDemoProducer, withCleanup } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { z } from 'zod';
import { type Figure, judge, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { openScene } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';
import { type AudioMonitor, installAudioMonitor } from './say/audio-monitor.ts';

const MEDIA = fileURLToPath(new URL('../media', import.meta.url));
const WARM_UP_TEXTS = 2;
const SHORT = 'Hello there! This is what you have typed.';
const LONG =
  'When we were away we all ran on and on, along a long and winding road, and nobody knew where we were, or why.';
/** Time into the long text at which it is interrupted. */
const SPOKEN_MS = { from: 800, to: 2500 };
const SETTLE_MS = 1200;
const WAIT_MS = 20_000;
/** Name of a segment; the demo avatar's clips must be loaded, because loading takes a core. */
const LOADED = 'welcome';

const speakingSchema = z.object({
  msg: z.literal('speaking'),
  time: z.iso.datetime(),
  openedMs: z.number(),
  firstFrameMs: z.number(),
});

/** Times since the Enter key, ms. */
interface TextTimes {
  readonly received: number;
  readonly opened: number;
  readonly firstFrame: number;
  readonly started: number;
  readonly audible: number;
  readonly heldMs: number;
}

/** Time from the key to the last audio of the interrupted speech, ms: as played, and as it left the jitter buffer. */
interface InterruptTimes {
  readonly audible: number;
  readonly received: number;
}

interface Result {
  readonly texts: readonly TextTimes[];
  readonly interrupts: readonly InterruptTimes[];
}

const { values } = parseArgs({ options: { texts: { type: 'string', default: '12' }, json: { type: 'string' } } });
const textCount = Number(values.texts);
if (!Number.isInteger(textCount) || textCount < 1 || textCount > 1000) {
  console.error('--texts must be a number from 1 to 1000');
  process.exit(2);
}
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\n`);
const result = await withCleanup(measure);
const figures = figuresOf(result);
printFigures(figures);
if (values.json !== undefined) {
  const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
  const report = { bench: 'say', at: new Date().toISOString(), machine, figures: judged, raw: result };
  await writeFile(values.json, `${JSON.stringify(report, null, 1)}\n`);
}
if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;

async function measure(cleanup: Cleanup): Promise<Result> {
  const port = await freePort();
  const { stack, producer } = await openScene(cleanup, {
    mediaDir: MEDIA,
    env: { SAY_URL: `http://127.0.0.1:${port}` },
  });
  const demoProducer = await startDemoProducer(stack, port);
  cleanup.add(() => demoProducer.stop());
  const probe = await producer.createSession('demo');
  await producer.segmentNamed(probe.id, LOADED);
  await producer.endSession(probe.id);
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const page = await chromium.context.newPage();
  await page.goto(`${stack.signalingUrl}/?avatar=demo`);
  const box = page.getByRole('textbox');
  await box.waitFor();
  await page.locator('video').evaluate(installAudioMonitor);
  const humancast = new Humancast({ apiKey: stack.apiKey, signalingUrl: stack.signalingUrl });
  const events = await followOnly(humancast, cleanup);

  const texts: TextTimes[] = [];
  const interrupts: InterruptTimes[] = [];
  for (let i = 0; i < textCount + WARM_UP_TEXTS; i++) {
    const lines = demoProducer.log().length;
    await box.fill(SHORT);
    await box.press('Enter');
    const { key, audible } = await voiceAfterKey(page);
    const speaking = demoProducer
      .log()
      .slice(lines)
      .map((line) => speakingSchema.safeParse(line).data);
    const line = speaking.find((found) => found !== undefined);
    await quiet(page);
    const now = events.splice(0);
    const started = now.find(({ type }) => type === 'speech.started');
    if (!line || !started) throw new Error('the demo producer did not speak');
    const received = Date.parse(line.time) - line.firstFrameMs;
    texts.push({
      received: received - key,
      opened: received + line.openedMs - key,
      firstFrame: received + line.firstFrameMs - key,
      started: started.atMs - key,
      audible: audible - key,
      heldMs: now.reduce((sum, event) => sum + (event.type === 'playback.held' ? event.heldMs : 0), 0),
    });

    await box.fill(LONG);
    await box.press('Enter');
    await voiceAfterKey(page);
    await page.waitForTimeout(SPOKEN_MS.from + Math.random() * (SPOKEN_MS.to - SPOKEN_MS.from));
    await box.press('a');
    await quiet(page);
    interrupts.push(
      await page.evaluate(() => ({
        audible: Math.max(0, audioMonitor.lastLoudAt - audioMonitor.lastKeyAt),
        received: audioMonitor.lastReceivedAt - audioMonitor.lastKeyAt,
      })),
    );
    events.length = 0;
  }
  return { texts: texts.slice(WARM_UP_TEXTS), interrupts: interrupts.slice(WARM_UP_TEXTS) };
}

/** Collects the events of the only session from now on. */
async function followOnly(humancast: Humancast, cleanup: Cleanup): Promise<SessionEvent[]> {
  const stop = new AbortController();
  cleanup.add(() => stop.abort());
  const session = (await humancast.sessions()).find(({ state }) => state === 'hosted');
  if (!session) throw new Error('no session is hosted');
  const events: SessionEvent[] = [];
  const connected = Promise.withResolvers<void>();
  const follow = async () => {
    const options = { signal: stop.signal, onConnected: connected.resolve };
    for await (const event of humancast.events(session.id, options)) events.push(event);
  };
  follow().catch(connected.reject);
  await connected.promise;
  return events;
}

/** Resolves when speech starts after the last key; both times in ms since the Unix epoch. */
async function voiceAfterKey(page: Page): Promise<{ key: number; audible: number }> {
  await page.waitForFunction(() => audioMonitor.voiceAt > audioMonitor.lastKeyAt, null, {
    timeout: WAIT_MS,
    polling: 20,
  });
  return page.evaluate(() => ({ key: audioMonitor.lastKeyAt, audible: audioMonitor.voiceAt }));
}

async function quiet(page: Page): Promise<void> {
  const settled = (ms: number) => Date.now() - Math.max(audioMonitor.lastReceivedAt, audioMonitor.lastKeyAt) > ms;
  await page.waitForFunction(settled, SETTLE_MS, { timeout: WAIT_MS, polling: 50 });
}

function interruptFigure(name: string, values: readonly number[]): Figure {
  return {
    group: 'Barge-in by typing, from the first key',
    name,
    unit: 'ms',
    digits: 0,
    aim: { atMost: 150 },
    value: percentile(values, 0.95),
    note: `median ${percentile(values, 0.5).toFixed(0)} ms, ${values.length} times`,
  };
}

function figuresOf({ texts, interrupts }: Result): Figure[] {
  const ms = { unit: 'ms', digits: 0 };
  const stage = (name: string, of: (one: TextTimes) => number): Figure => ({
    group: 'Typed text, from the Enter key',
    name,
    ...ms,
    value: percentile(texts.map(of), 0.5),
    note: `p95 ${percentile(texts.map(of), 0.95).toFixed(0)} ms`,
  });
  return [
    stage('received by the demo producer, median', ({ received }) => received),
    stage('live push open', ({ opened }) => opened),
    stage('first frame pushed', ({ firstFrame }) => firstFrame),
    stage('first packet sent', ({ started }) => started),
    stage('first audio at the viewer', ({ audible }) => audible),
    stage('waiting for late media, total', ({ heldMs }) => heldMs),
    interruptFigure(
      'speech muted, p95',
      interrupts.map(({ audible }) => audible),
    ),
    interruptFigure(
      'speech ended in the stream, p95',
      interrupts.map(({ received }) => received),
    ),
  ];
}

declare global {
  var audioMonitor: AudioMonitor;
}
