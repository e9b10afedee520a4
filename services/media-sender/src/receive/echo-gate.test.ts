import { describe, expect, it } from 'vitest';
import { BANDS } from '../audio/band-powers.js';
import { EchoGate } from './echo-gate.js';

/** Frames within the possible delays of an echo. */
const WINDOW = 21;
const NOISE = 100;
const VOICE = 200_000;
/** Power of a syllable at its loudest. */
const LOUD = 1_000_000;

/** @returns Numbers from 0 to 1, the same for each seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** @returns The power of syllables of different loudness, per frame. */
function syllables(frames: number, seed: number): number[] {
  const random = randomOf(seed);
  const powers: number[] = [];
  while (powers.length < frames) {
    const length = 6 + Math.floor(10 * random());
    const loud = LOUD * 10 ** (-1.5 * random());
    for (let i = 0; i < length; i++) powers.push(loud * Math.sin((Math.PI * (i + 0.5)) / length) ** 2);
  }
  return powers.slice(0, frames);
}

interface Scene {
  readonly played: readonly number[];
  /** Power of the echo relative to what is played, and frames after which it comes. */
  readonly gain: number;
  readonly delay: number;
  readonly isMissed?: (frame: number) => boolean;
}

/** Lets the gate hear an echo over noise, all bands alike. @returns The largest share that it did not explain, from frame 10 on. */
function hear(gate: EchoGate, { played, gain, delay, isMissed = () => false }: Scene): number {
  let largest = 0;
  for (const [frame] of played.entries()) {
    if (isMissed(frame)) {
      gate.missed();
      continue;
    }
    const loudest = Math.max(...played.slice(Math.max(0, frame - WINDOW + 1), frame + 1));
    const heard = NOISE + gain * (played[frame - delay] ?? 0);
    if (frame >= 10) largest = Math.max(largest, gate.unexplained(all(heard), all(loudest)));
    gate.learn(all(heard), all(loudest), false);
  }
  return largest;
}

const all = (power: number) => new Float64Array(BANDS).fill(power);
const silence = (frames: number) => Array.from({ length: frames }, () => 0);
const voiceOver = (gate: EchoGate) => gate.unexplained(all(VOICE), all(LOUD));
const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

describe('EchoGate', () => {
  it('takes a voice for an echo until something has been played for as long as an echo may take', () => {
    const gate = new EchoGate();
    hear(gate, { played: [...silence(20), ...syllables(WINDOW - 2, 1)], gain: 0, delay: 0 });
    expect(voiceOver(gate)).toBe(0);
  });

  it.each(SEEDS)('knows after two seconds of speech that a silent microphone has no echo (seed %i)', (seed) => {
    const gate = new EchoGate();
    hear(gate, { played: [...silence(20), ...syllables(100, seed)], gain: 0, delay: 0 });
    expect(voiceOver(gate)).toBeGreaterThan(0.9);
  });

  it.each(SEEDS)('explains every echo, however loud and late (seed %i)', (seed) => {
    const random = randomOf(seed);
    const gain = 10 ** -(3 * random());
    const delay = Math.floor(WINDOW * random());
    const played = [...silence(Math.floor(40 * random())), ...syllables(500, seed)];
    expect(hear(new EchoGate(), { played, gain, delay })).toBe(0);
  });

  it.each(SEEDS)('is not deceived by frames that were lost with the echo in them (seed %i)', (seed) => {
    const random = randomOf(seed);
    const played = [...silence(20), ...syllables(300, seed)];
    const delay = Math.floor(WINDOW * random());
    // Those of a second in which the loudest syllables came back
    const isMissed = (frame: number) => frame < 70 && (played[frame - delay] ?? 0) > LOUD / 10;
    expect(hear(new EchoGate(), { played, gain: 1, delay, isMissed })).toBe(0);
  });
});
