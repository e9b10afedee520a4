import { describe, expect, it } from 'vitest';
import { NEUTRAL_POSE } from './pose.js';
import { VoiceFace } from './voice-face.js';

const RATE = 24_000;
const FRAME = RATE / 30;

const tone = (hz: number, amplitude: number) =>
  Int16Array.from({ length: FRAME }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / RATE));

/** @returns The mouth after a third of a second of the same sound. */
function mouthOf(frame: Int16Array) {
  const face = new VoiceFace(RATE);
  let mouth = face.next(frame).mouth;
  for (let i = 0; i < 9; i++) mouth = face.next(frame).mouth;
  return mouth;
}

describe('VoiceFace', () => {
  it('keeps the mouth shut in silence, and opens it with the level', () => {
    expect(mouthOf(new Int16Array(FRAME)).open).toBe(0);
    const [quiet, loud] = [mouthOf(tone(300, 1000)).open, mouthOf(tone(300, 12_000)).open];
    expect(quiet).toBeGreaterThan(0.05);
    expect(loud).toBeGreaterThan(2 * quiet);
  });

  it('spreads the lips of a hiss, rounds those of a dark vowel, and opens the jaw for neither', () => {
    const hiss = mouthOf(tone(6000, 8000));
    expect(hiss.width).toBeGreaterThan(0.3);
    expect(hiss.open).toBeLessThan(0.2);
    expect(mouthOf(tone(200, 8000)).width).toBeLessThan(-0.2);
  });

  it('begins in the pose that it was given, and ends at rest', () => {
    const start = { ...NEUTRAL_POSE, gaze: { x: -0.7, y: 0 } };
    const face = new VoiceFace(RATE, start);
    expect(face.next(tone(300, 8000)).gaze.x).toBeLessThan(-0.6);
    for (let i = 0; i < 30; i++) face.next(tone(300, 8000));
    const rest = face.rest(30);
    expect(rest).toHaveLength(12);
    expect(rest[0]?.mouth.open).toBeGreaterThan(0.1);
    // Without the sign of zeros.
    expect(JSON.parse(JSON.stringify(rest.at(-1)))).toEqual(NEUTRAL_POSE);
  });
});
