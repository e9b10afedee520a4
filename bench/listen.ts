/**
 * Measures the time from a viewer's microphone to the producer: a tone in headless Chromium, with the product's client, through
 * coturn on loopback, the media-sender, Redis and signaling, to the producer's client.
 *
 *     npm run build && node bench/listen.ts [--tones 60] [--json FILE]
 *
 * Half of a frame of 20 ms, the encoder and its look-ahead are part of it. Exits with 1 if the aim is missed.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Humancast } from '@humancast/producer';
import { type Cleanup, makeBusyClip, withCleanup } from '@humancast/testkit';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openMicrophoneScene } from './lib/microphone-scene.ts';
import { temporaryFolder } from './lib/scene.ts';
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
const measured = await withCleanup(measure);
reportFigures({ bench: 'listen', machine, figures: figuresOf(measured), raw: measured, json: values.json });

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
  const { humancast, page, session, viewer } = await openMicrophoneScene(cleanup, {
    mediaDir,
    avatar: 'busy',
    path: '/bench/listen/viewer.html',
    ready: 'listenBench',
  });
  const stop = new AbortController();
  const heard = hearOnsets(humancast, session, stop.signal);
  const begun = await page.evaluate((what) => listenBench.speak(what), { ...viewer, tones });
  stop.abort();
  return compare(begun, await heard);
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
