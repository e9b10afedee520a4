import { describe, expect, it } from 'vitest';
import { echoOf, mix, noise, place, speak } from '../../testing/voices.js';
import { BANDS } from '../audio/band-powers.js';
import { PlayedAudio } from '../playout/played-audio.js';
import { SpeechClassifier } from './speech-classifier.js';
import { VoiceActivity } from './voice-activity.js';

const RATE = 16_000;
/** As `SessionSpeakers` asks for it, with a usual jitter buffer. */
const WINDOW_MS = 410;
const GUIDE =
  'Welcome to our little museum. In this room you can see three paintings from the seventeenth century. The first one, on ' +
  'your left, shows a harbor at dawn. Look at the light on the water! Many people ask who the man in the boat is. Nobody knows.';
const TALKERS = ['Stop!', 'Wait, I have a question.', 'Excuse me?', 'Hello?', 'No.'].flatMap((text) =>
  ['en-us+m7', 'en-gb+f4'].map((voice) => speak(text, { voice, rate: RATE, db: -26 })),
);
const avatar = (rate: number) => speak(`${GUIDE} ${GUIDE} ${GUIDE}`, { voice: 'en-us+f2', rate, db: -20 });
const [PLAYED, PLAYED_AT_MICROPHONE] = [avatar(24_000), avatar(RATE)];

interface Found {
  readonly isSpeaking: boolean;
  readonly atMs: number;
  readonly decidedMs: number;
}

/** @param played 24 kHz, from the same instant on as what the microphone records. */
function detect(microphone: Int16Array, played: Int16Array = new Int16Array()): Found[] {
  const audio = new PlayedAudio();
  const classifier = new SpeechClassifier();
  const activity = new VoiceActivity({ classifier, hangoverMs: 500 });
  const bands = new Float64Array(BANDS);
  const found: Found[] = [];
  for (let i = 0; 320 * (i + 1) <= microphone.length; i++) {
    const block = played.slice(480 * i, 480 * (i + 1));
    if (block.length === 480) audio.add(960 * i, block, true);
    const atMs = 20 * i;
    audio.loudest(48 * (atMs - WINDOW_MS), 48 * (atMs + 19), bands);
    const pcm = microphone.subarray(320 * i, 320 * (i + 1));
    const change = activity.heard({ pcm, atMs, concealed: false, gapMs: 0 }, bands);
    if (change) found.push({ ...change, decidedMs: atMs + 20 });
  }
  classifier.free();
  return found;
}

/** @returns 24 kHz audio with silence before it. */
function afterSilence(seconds: number, pcm: Int16Array): Int16Array {
  const out = new Int16Array(24_000 * seconds + pcm.length);
  out.set(pcm, 24_000 * seconds);
  return out;
}

/** @returns When the talkers begin, ms, and what they say, placed in silence. */
function conversation(length: number) {
  const parts = TALKERS.map((pcm, i) => ({
    at: 3 * RATE + i * Math.floor((length - 4 * RATE) / TALKERS.length) + i,
    pcm,
  }));
  return { begunMs: parts.map(({ at }) => at / 16), pcm: place(length, parts) };
}

/** @returns How long after each beginning speech was detected, ms. */
function delays(found: readonly Found[], begunMs: readonly number[]): number[] {
  return begunMs.map((ms) => {
    const onset = found.find(({ isSpeaking, decidedMs }) => isSpeaking && decidedMs > ms && decidedMs < ms + 800);
    return onset ? onset.decidedMs - ms : Number.POSITIVE_INFINITY;
  });
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

describe('VoiceActivity', () => {
  it.each([-90, -65, -55])('detects each talker within 80 ms as a rule, with noise of %i dBFS', (db) => {
    const { begunMs, pcm } = conversation(40 * RATE);
    const found = detect(mix(pcm, noise(pcm.length, db)));
    const took = delays(found, begunMs);
    expect(median(took)).toBeLessThanOrEqual(80);
    expect(Math.max(...took)).toBeLessThanOrEqual(200);
    expect(found.filter(({ isSpeaking }) => isSpeaking)).toHaveLength(TALKERS.length);
    // Each ends half a second after the last word.
    const ends = found.filter(({ isSpeaking }) => !isSpeaking);
    expect(ends).toHaveLength(TALKERS.length);
    for (const { atMs, decidedMs } of ends) expect(decidedMs - atMs).toBe(500);
  });

  it('is not triggered by noise that grows, a hum, or the clicks of keys', () => {
    const length = 20 * RATE;
    const sources = {
      steps: place(
        length,
        [0, 1, 2, 3].map((i) => ({ at: 5 * RATE * i, pcm: noise(5 * RATE, -60 + 4 * i, i + 1) })),
      ),
      hum: Float64Array.from({ length }, (_, i) => 900 * Math.sin((2 * Math.PI * 100 * i) / RATE)),
      clicks: place(
        length,
        Array.from({ length: 90 }, (_, i) => ({
          at: Math.floor(3000 + i * 3400 + 900 * Math.sin(i)),
          pcm: noise(160, -14, i + 1).map((sample, n) => sample * Math.exp(-n / 50)),
        })),
      ),
    };
    for (const [name, pcm] of Object.entries(sources)) {
      expect([name, detect(mix(pcm, noise(length, -70)))]).toEqual([name, []]);
    }
  });

  it.each([
    { db: -20, delayMs: 20 },
    { db: -20, delayMs: 90 },
    { db: -20, delayMs: 180 },
    { db: -20, delayMs: 300 },
    { db: -6, delayMs: 60 },
  ])("is not triggered by the avatar's own voice, at $db dB after $delayMs ms", (room) => {
    const echo = echoOf(PLAYED_AT_MICROPHONE, RATE, { ...room, seed: room.delayMs });
    expect(detect(mix(echo, noise(echo.length, -65)), PLAYED)).toEqual([]);
  });

  it.each([
    { db: -90, limitMs: 80, least: 10 },
    { db: -40, limitMs: 80, least: 10 },
    { db: -20, limitMs: 400, least: 8 },
  ])(
    "detects $least of ten talkers' first words a second into the avatar's, whose echo has $db dB",
    ({ db, limitMs, least }) => {
      const begunMs = 3000;
      const took = TALKERS.map((pcm, i) => {
        // The microphone is open for two seconds before the avatar speaks.
        const length = 6 * RATE;
        const echo = echoOf(PLAYED_AT_MICROPHONE.subarray(0, 4 * RATE), RATE, { delayMs: 120, db, seed: i + 1 });
        const voices = place(length, [
          { at: 2 * RATE, pcm: echo },
          { at: (begunMs * RATE) / 1000, pcm },
        ]);
        const found = detect(mix(voices, noise(length, -65, i + 1)), afterSilence(2, PLAYED.subarray(0, 4 * 24_000)));
        return delays(found, [begunMs])[0] as number;
      });
      expect(median(took)).toBeLessThanOrEqual(limitMs);
      expect(took.filter((ms) => ms <= 800).length).toBeGreaterThanOrEqual(least);
    },
  );

  it("is not triggered by the avatar's first words, in any of many rooms", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const [level, delay] = noise(2, -10, seed).map((sample) => (Math.abs(sample) % 1000) / 1000);
      const room = {
        db: -4 - 26 * (level as number),
        delayMs: 5 + 325 * (delay as number),
        reverbMs: 100 + 10 * seed,
        seed,
      };
      const echo = echoOf(PLAYED_AT_MICROPHONE.subarray(0, 8 * RATE), RATE, room);
      const heard = place(9 * RATE, [{ at: RATE, pcm: echo }]);
      const found = detect(mix(heard, noise(heard.length, -65, seed)), afterSilence(1, PLAYED.subarray(0, 8 * 24_000)));
      expect([room, found]).toEqual([room, []]);
    }
  });

  it.each([
    { db: -90, limitMs: 80 },
    { db: -30, limitMs: 90 },
    { db: -20, limitMs: 150 },
  ])('detects a talker over the avatar whose echo has $db dB', ({ db, limitMs }) => {
    const echo = echoOf(PLAYED_AT_MICROPHONE, RATE, { delayMs: 120, db });
    const { begunMs, pcm } = conversation(echo.length);
    const found = detect(mix(echo, pcm, noise(echo.length, -65)), PLAYED);
    const took = delays(found, begunMs);
    expect(median(took)).toBeLessThanOrEqual(limitMs);
    expect(took.filter((ms) => ms <= 300).length).toBeGreaterThanOrEqual(TALKERS.length - 1);
    expect(found.filter(({ isSpeaking }) => isSpeaking).length).toBeLessThanOrEqual(TALKERS.length);
  });

  it('learns an echo that is suddenly loud, and is triggered by it a few times at most', () => {
    const quiet = echoOf(PLAYED_AT_MICROPHONE, RATE, { delayMs: 80, db: -40 });
    const loud = echoOf(PLAYED_AT_MICROPHONE, RATE, { delayMs: 80, db: -6 });
    const turned = quiet.map((sample, i) => (i < quiet.length / 2 ? sample : (loud[i] as number)));
    const onsets = detect(mix(turned, noise(turned.length, -65)), PLAYED).filter(({ isSpeaking }) => isSpeaking);
    const seconds = PLAYED_AT_MICROPHONE.length / RATE;
    expect(onsets.length).toBeLessThanOrEqual(4);
    expect(onsets.every(({ atMs }) => atMs < 1000 * (seconds / 2 + 8))).toBe(true);
  });
});
