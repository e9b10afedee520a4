import { describe, expect, it } from 'vitest';
import { easedFrom, idleMotion, type Motion, speechMotion } from './motion.js';
import { NEUTRAL_POSE } from './pose.js';

const idle = idleMotion({
  durationSeconds: 6,
  breaths: 2,
  blinksAtSeconds: [1, 4],
  glances: [{ fromSeconds: 1, toSeconds: 2.5, x: -0.7, y: 0.2 }],
  smile: 0.5,
});
const speech = speechMotion(
  [
    { ipa: 'm', stress: 0, startSeconds: 0, endSeconds: 0.08 },
    { ipa: 'aɪ', stress: 2, startSeconds: 0.08, endSeconds: 0.3 },
  ],
  0.3,
);

function figures(motion: Motion, seconds: number): number[] {
  const { mouth, gaze, head, ...rest } = motion.poseAt(seconds);
  return [mouth, gaze, head, rest].flatMap((part) => Object.values(part));
}

describe.each([
  ['idle', idle],
  ['speech', speech],
])('%s', (_name, motion) => {
  const neutral = figures({ durationSeconds: 0, poseAt: () => NEUTRAL_POSE }, 0);

  it('starts and ends in the neutral pose', () => {
    for (const seconds of [0, motion.durationSeconds]) {
      for (const [index, figure] of figures(motion, seconds).entries())
        expect(figure).toBeCloseTo(neutral[index] ?? 0, 3);
    }
  });

  it('leaves and reaches it slowly, so that a cut to another clip is invisible', () => {
    const frame = 1 / 30;
    for (const seconds of [frame, motion.durationSeconds - frame]) {
      for (const [index, figure] of figures(motion, seconds).entries()) {
        expect(Math.abs(figure - (neutral[index] ?? 0))).toBeLessThan(0.02);
      }
    }
  });
});

it('closes and opens the eyes in a blink', () => {
  expect(idle.poseAt(1).blink).toBe(1);
  expect(idle.poseAt(1.3).blink).toBe(0);
});

it('looks in the given direction, and the head follows later', () => {
  const early = idle.poseAt(1.15);
  expect(early.gaze.x).toBeCloseTo(-0.7);
  expect(idle.poseAt(1.9).head.yaw).toBeLessThan(early.head.yaw);
});

it('starts the mouth after the lead, with the audio', () => {
  expect(speech.poseAt(0.1).mouth.press).toBeLessThan(0.05);
  expect(speech.poseAt(0.25 + 0.04).mouth.press).toBeGreaterThan(0.8);
  expect(speech.poseAt(0.25 + 0.14).mouth.open).toBeGreaterThan(0.4);
});

it('lasts a whole number of frames, long enough for the audio', () => {
  expect((speech.durationSeconds * 30) % 1).toBeCloseTo(0);
  expect(speech.durationSeconds).toBeGreaterThanOrEqual(0.25 + 0.3);
});

it("continues from another motion's pose, with the mouth in sync with the voice", () => {
  const left = idle.poseAt(1.6);
  const eased = easedFrom(left, speech);
  const face = eased.poseAt(0);
  expect(face.head).toEqual(left.head);
  expect(face.gaze).toEqual(left.gaze);
  expect(eased.poseAt(0.3).mouth).toEqual(speech.poseAt(0.3).mouth);
  expect(eased.poseAt(0.5).head.yaw).toBeCloseTo(speech.poseAt(0.5).head.yaw, 10);
  // No frame differs from the previous one by more than a fast turn of the head.
  for (let frame = 1; frame <= 12; frame++) {
    const turn = eased.poseAt(frame / 30).head.yaw - eased.poseAt((frame - 1) / 30).head.yaw;
    expect(Math.abs(turn)).toBeLessThan(0.06);
  }
});
