/**
 * Measures the time from a viewer's microphone to the producer: a tone in headless Chromium, with the product's client, through
 * coturn on loopback, the media-sender, Redis and signaling, to the producer's client.
 *
 *     npm run build && node bench/listen.ts [--tones 60] [--json FILE]
 *
 * Half of a frame of 20 ms, the encoder and its look-ahead are part of it. Exits with 1 if the aim is missed.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Humancast, ProducerError } from '@humancast/producer';
import { type Cleanup, launchChromium, makeBusyClip, withCleanup } from '@humancast/testkit';
import { type Figure, judge, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { servePages } from './lib/page-server.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const GROUP = 'Microphone, through TURN over UDP';
/** Level above which the tone has begun; its amplitude is 16,000. */
const TONE_LEVEL = 1000;
const SILENT_FRAMES = 5;
const SAMPLES_PER_MS = 16;
/** An onset is heard within this time, or not at all. */
const MATCH_MS = 240;

const { values } = parseArgs({ options: { tones: { type: 'string', default: '60' }, json: { type: 'string' } } });
const tones = Number(values.tones);
if (!Number.isInteger(tones) || tones < 1 || tones > 1000) {
  console.error('--tones must be a number from 1 to 1000');
  process.exit(2);
}
const machine = describeMachine();
console.log(`${machineLines(machine).join('\n')}\n`);
const measured = await withCleanup(measure);
const figures = figuresOf(measured);
printFigures(figures);
if (values.json !== undefined) {
  const judged = figures.map((figure) => ({ ...figure, ok: judge(figure) }));
  const result = { bench: 'listen', at: new Date().toISOString(), machine, figures: judged, raw: measured };
  await writeFile(values.json, `${JSON.stringify(result, null, 1)}\n`);
}
if (figures.some((figure) => judge(figure) === false)) process.exitCode = 1;

interface Onset {
  /** When its frame arrived, and when it was said by the frame's stamp; ms since the Unix epoch. */
  readonly arrivedMs: number;
  readonly saidMs: number;
}

interface Measured {
  readonly latenciesMs: readonly number[];
  readonly stampErrorsMs: readonly number[];
  readonly missed: number;
}

async function measure(cleanup: Cleanup): Promise<Measured> {
  const mediaDir = temporaryFolder(cleanup);
  await makeBusyClip(join(mediaDir, 'busy/idle/busy.mov'), { seconds: 5, fps: 30, size: '640x360' });
  const origin = await servePages(cleanup);
  const { stack } = await openScene(cleanup, { mediaDir, env: { ALLOWED_ORIGINS: origin } });
  const { apiKey, signalingUrl, loaderUrl } = stack;
  const humancast = new Humancast({ apiKey, signalingUrl, loaderUrl });
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const page = await chromium.context.newPage();
  await page.goto(`${origin}/bench/listen/viewer.html`);
  await page.waitForFunction(() => 'listenBench' in globalThis);
  const session = await whenLoaded(() => humancast.createSession('busy', { microphone: true }));
  const stop = new AbortController();
  const heard = hearOnsets(humancast, session.id, stop.signal);
  const options = { url: signalingUrl, session: session.id, token: session.microphoneToken ?? '', tones };
  const begun = await page.evaluate((what) => listenBench.speak(what), options);
  stop.abort();
  return compare(begun, await heard);
}

/** The avatar's idle clip is loaded while the stack starts. */
async function whenLoaded<T>(create: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await create();
    } catch (error) {
      if (!(error instanceof ProducerError) || error.code !== 'avatar_has_no_idle') throw error;
      await sleep(200);
    }
  }
}

async function hearOnsets(humancast: Humancast, session: string, signal: AbortSignal): Promise<Onset[]> {
  const onsets: Onset[] = [];
  let silentFrames = 0;
  try {
    for await (const { pcm, atMs } of humancast.listen(session, { signal })) {
      const at = pcm.findIndex((sample) => Math.abs(sample) > TONE_LEVEL);
      if (at < 0) silentFrames++;
      else {
        const arrivedMs = performance.timeOrigin + performance.now();
        if (silentFrames >= SILENT_FRAMES) onsets.push({ arrivedMs, saidMs: atMs + at / SAMPLES_PER_MS });
        silentFrames = 0;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return onsets;
}

function compare(begun: readonly number[], heard: readonly Onset[]): Measured {
  const pairs = begun.flatMap((begunMs) => {
    const onset = heard.find(({ arrivedMs }) => arrivedMs > begunMs && arrivedMs < begunMs + MATCH_MS);
    return onset ? [{ latencyMs: onset.arrivedMs - begunMs, stampErrorMs: onset.saidMs - begunMs }] : [];
  });
  return {
    latenciesMs: pairs.map(({ latencyMs }) => latencyMs),
    stampErrorsMs: pairs.map(({ stampErrorMs }) => stampErrorMs),
    missed: begun.length - pairs.length,
  };
}

function figuresOf({ latenciesMs, stampErrorsMs, missed }: Measured): Figure[] {
  const ms = { group: GROUP, unit: 'ms', digits: 0 };
  return [
    {
      ...ms,
      name: 'microphone to producer, median',
      aim: { atMost: 60 },
      value: percentile(latenciesMs, 0.5),
      note: `${latenciesMs.length} tones, ${missed} not heard`,
    },
    { ...ms, name: 'microphone to producer, p95', value: percentile(latenciesMs, 0.95) },
    { ...ms, name: 'stamp minus onset, median', value: percentile(stampErrorsMs, 0.5) },
    { ...ms, name: 'stamp minus onset, p95', value: percentile(stampErrorsMs, 0.95) },
  ];
}
