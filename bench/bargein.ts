/**
 * Measures barge-in by voice: from the onset of speech at a viewer's microphone, in headless Chromium with the product's client, through
 * coturn on loopback and the media-sender, to the last packet of the old voice at the viewer. Then, with the media-sender's code and
 * faster than real time, the CPU of voice activity detection, and how often ten minutes of the avatar's own echo stop it.
 *
 *     npm run build && node bench/bargein.ts [--rounds 30] [--json FILE]
 *
 * Without rounds (`--rounds 0`), only the latter. What is said, by the avatar too, is made by espeak-ng. Exits with 1 if an aim is missed.
 */
import { execFileSync } from 'node:child_process';
import { openAsBlob, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Cleanup, makeTestClip, waitFor, withCleanup } from '@humancast/testkit';
import { BANDS } from '../services/media-sender/dist/audio/band-powers.js';
import { PlayedAudio } from '../services/media-sender/dist/playout/played-audio.js';
import { SpeechClassifier } from '../services/media-sender/dist/receive/speech-classifier.js';
import { VoiceActivity } from '../services/media-sender/dist/receive/voice-activity.js';
import { echoOf, mix, noise, speak } from '../services/media-sender/testing/voices.ts';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openMicrophoneScene } from './lib/microphone-scene.ts';
import { temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const RATE = 16_000;
/** RMS above which a packet has a voice: −50 dBFS. */
const VOICE_LEVEL = 0.003;
/** A stop is seen within this time after the onset, or it failed. */
const MATCH_MS = 1000;
/** As the media-sender asks for it, with a usual jitter buffer. */
const ECHO_WINDOW_MS = 410;
const ROOMS = [20, 60, 120, 200, 300].map((delayMs) => ({ delayMs, db: -20, seed: delayMs }));
const ECHO_SECONDS = 120;
const GUIDE =
  'Welcome to our little museum. In this room you can see three paintings from the seventeenth century. The first one, on ' +
  'your left, shows a harbor at dawn. Look at the light on the water! Many people ask who the man in the boat is. Nobody knows.';
const SAID = ['Wait, I have a question.', 'Excuse me?', 'Hello?', 'No, not that one.', 'Can you repeat that?'];
const VOICES = ['en-us+m7', 'en-gb+f4', 'de+m1'];

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '30' }, json: { type: 'string' } } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 0 || rounds > 1000) {
  console.error('--rounds must be a number from 0 to 1000');
  process.exit(2);
}
const said = SAID.flatMap((text) => VOICES.map((voice) => speak(text, { voice, rate: RATE, db: -26 })));
const machine = describeMachine();
const { delaysMs, missed } = rounds > 0 ? await withCleanup(measureStops) : { delaysMs: [], missed: 0 };
const microseconds = measureCpu();
const falseStops = ROOMS.map(countFalseStops);
reportFigures({
  bench: 'bargein',
  machine,
  figures: figures(),
  raw: { delaysMs, missed, microseconds, falseStops },
  json: values.json,
});

function figures(): Figure[] {
  const stop = { group: 'Barge-in by voice, through TURN over UDP', unit: 'ms', digits: 0 };
  const detector = { group: 'Voice activity, computed faster than real time' };
  const stops: Figure[] = [
    {
      ...stop,
      name: 'onset at the microphone → last packet of the old voice, median',
      value: percentile(delaysMs, 0.5),
      note: `${delaysMs.length} interruptions`,
    },
    { ...stop, name: 'the same, p95', aim: { atMost: 150 }, value: percentile(delaysMs, 0.95) },
    { ...stop, name: 'onsets that stopped nothing', aim: { atMost: 0 }, value: missed, unit: '' },
  ];
  return [
    ...(rounds > 0 ? stops : []),
    { ...detector, name: 'CPU per 20 ms of a voice', value: microseconds, unit: 'µs', digits: 0 },
    {
      ...detector,
      name: "false stops by 10 minutes of the avatar's echo, −20 dB",
      aim: { atMost: 0 },
      value: falseStops.reduce((sum, count) => sum + count, 0),
      unit: '',
      digits: 0,
    },
  ];
}

async function measureStops(cleanup: Cleanup): Promise<{ delaysMs: number[]; missed: number }> {
  const mediaDir = temporaryFolder(cleanup);
  makeTestClip(join(mediaDir, 'guide/idle/idle.mp4'), { color: 'red', seconds: 4 });
  const { humancast, page, session, viewer } = await openMicrophoneScene(cleanup, {
    mediaDir,
    avatar: 'guide',
    bargeIn: 'stop',
    path: '/bench/bargein/viewer.html',
    ready: 'bargeInBench',
  });
  const segment = await humancast.uploadSegment('guide', await openAsBlob(makeSpeech(mediaDir)), {
    name: 'speech.mov',
  });
  await page.evaluate((what) => bargeInBench.join(what), viewer);
  const delaysMs: number[] = [];
  let missed = 0;
  for (let round = 0; round < rounds; round++) {
    await humancast.speak(session, [segment.id]);
    await waitFor(
      'the speech',
      async () => (await humancast.session(session)).playhead?.role,
      (role) => role === 'speech',
    );
    // At another position each time; the echo gate learns meanwhile that there is no echo.
    await sleep(1500 + ((round * 370) % 2000));
    const onsetMs = await page.evaluate((pcm) => bargeInBench.say(pcm), [...(said[round % said.length] ?? [])]);
    await sleep(MATCH_MS);
    const voiced = (await page.evaluate(() => bargeInBench.arrived())).filter(({ level }) => level > VOICE_LEVEL);
    const lastMs = voiced.at(-1)?.atMs ?? 0;
    if (lastMs < onsetMs + MATCH_MS) delaysMs.push(Math.max(0, lastMs - onsetMs));
    else {
      missed++;
      await humancast.interrupt(session);
      await sleep(MATCH_MS);
      await page.evaluate(() => bargeInBench.arrived());
    }
  }
  return { delaysMs, missed };
}

/** @returns The path of a clip in which the avatar speaks without pauses between sentences. */
function makeSpeech(folder: string): string {
  const pcm = speak(GUIDE, { voice: 'en-us+f2', rate: 24_000, db: -20 });
  const [raw, path] = [join(folder, 'speech.pcm'), join(folder, 'speech.mov')];
  writeFileSync(raw, Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength));
  const audio = ['-f', 's16le', '-ar', '24000', '-ac', '1', '-i', raw];
  const video = ['-f', 'lavfi', '-i', 'color=c=green:s=320x240:r=30'];
  const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'pcm_s16le'];
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...audio, ...video, '-shortest', ...codecs, path]);
  return path;
}

/** @returns CPU time per 20 ms of speech over what is played. */
function measureCpu(): number {
  const pcm = speak(`${GUIDE} ${GUIDE}`, { voice: 'en-us+m3', rate: RATE, db: -26 });
  const played = speak(`${GUIDE} ${GUIDE}`, { voice: 'en-us+f2', rate: 24_000, db: -20 });
  detect(pcm, played);
  const begun = process.cpuUsage();
  for (let i = 0; i < 10; i++) detect(pcm, played);
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / (10 * Math.floor(pcm.length / 320));
}

function countFalseStops(room: (typeof ROOMS)[number], i: number): number {
  const voice = ['en-us+f2', 'en-us+m3', 'de+f1', 'en-gb+m2', 'en-us+f4'][i] ?? 'en-us';
  const at = (rate: number) => {
    const pcm = speak(GUIDE, { voice, rate, db: -20 });
    const pause = Math.floor(rate / 2);
    const out = new Int16Array(ECHO_SECONDS * rate);
    for (let from = 0; from < out.length; from += pcm.length + pause) {
      out.set(pcm.subarray(0, Math.min(pcm.length, out.length - from)), from);
    }
    return out;
  };
  const echo = echoOf(at(RATE), RATE, room);
  return detect(mix(echo, noise(echo.length, -65)), at(24_000));
}

/** @returns How often speech begins. @param played 24 kHz, from the same instant on as what the microphone records. */
function detect(microphone: Int16Array, played: Int16Array): number {
  const audio = new PlayedAudio();
  const classifier = new SpeechClassifier();
  const activity = new VoiceActivity({ classifier, hangoverMs: 500 });
  const bands = new Float64Array(BANDS);
  let onsets = 0;
  for (let i = 0; 320 * (i + 1) <= microphone.length; i++) {
    const block = played.subarray(480 * i, 480 * (i + 1));
    if (block.length === 480) audio.add(960 * i, block, true);
    const atMs = 20 * i;
    audio.loudest(48 * (atMs - ECHO_WINDOW_MS), 48 * (atMs + 20), bands);
    const pcm = microphone.subarray(320 * i, 320 * (i + 1));
    if (activity.heard({ pcm, atMs, concealed: false, gapMs: 0 }, bands)?.isSpeaking) onsets++;
  }
  classifier.free();
  return onsets;
}
