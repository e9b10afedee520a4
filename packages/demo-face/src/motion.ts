import type { Phoneme } from './alignment.js';
import { REST_MOUTH } from './mouth.js';
import { mixPoses, type Pose } from './pose.js';
import { mouthAt, mouthTargets } from './visemes.js';

/** A moving face: its pose at each instant from 0 to `durationSeconds`, neutral at both ends. */
export interface Motion {
  durationSeconds: number;
  poseAt(seconds: number): Pose;
}

export interface IdleOptions {
  durationSeconds: number;
  /** Number of whole breaths in that time, so that the end matches the start. */
  breaths: number;
  blinksAtSeconds: readonly number[];
  /** Glances to the side and back. */
  glances?: readonly Glance[];
  /** Amount and first direction of the head's sway, −1…1. Default: 0.5. */
  sway?: number;
  /** Maximum of a temporary smile, 0…1. Default: 0. */
  smile?: number;
}

interface Glance {
  fromSeconds: number;
  toSeconds: number;
  x: number;
  y: number;
}

/** @returns Motion of a listener: breathing, blinking, swaying slightly, looking around. */
export function idleMotion(options: IdleOptions): Motion {
  const { durationSeconds, breaths, blinksAtSeconds, glances = [], sway = 0.5, smile = 0 } = options;
  return {
    durationSeconds,
    poseAt(seconds) {
      const ratio = clamp(seconds / durationSeconds);
      const settled = bump(seconds, 0, durationSeconds, 0.8);
      const gaze = gazeAt(glances, seconds);
      return {
        mouth: REST_MOUTH,
        smile: smile * bump(seconds, 0.4, durationSeconds - 0.4, 0.9),
        blink: blinkAt(blinksAtSeconds, seconds),
        brow: 0.25 * Math.abs(gaze.x) + 0.08 * settled * wave(ratio * 2),
        gaze,
        head: {
          // The head follows the eyes, but less far.
          yaw: 0.35 * headAt(glances, seconds).x + settled * sway * 0.3 * wave(ratio),
          pitch: 0.3 * headAt(glances, seconds).y + settled * 0.12 * wave(ratio * 2 + 0.15),
          tilt: settled * sway * 0.35 * wave(ratio + 0.3),
        },
        breath: breathAt(ratio * breaths),
      };
    },
  };
}

export interface SpeechMotionOptions {
  /** Time before the speech, s. Default: 0.25. */
  leadSeconds?: number;
  /** Time after the speech to come to rest, s. Default: 0.5. */
  tailSeconds?: number;
  /** The duration is rounded up to whole frames at this rate. Default: 30. */
  framesPerSecond?: number;
}

/**
 * @returns Motion of a speaker: the mouth follows the phonemes; the head nods on stressed syllables and leans differently in
 * each clause.
 *
 * @param phonemes Phonemes with times from the start of the speech.
 * @param speechSeconds Duration of the speech.
 */
export function speechMotion(
  phonemes: readonly Phoneme[],
  speechSeconds: number,
  options: SpeechMotionOptions = {},
): Motion {
  const { leadSeconds = 0.25, tailSeconds = 0.5, framesPerSecond = 30 } = options;
  const durationSeconds = Math.ceil((leadSeconds + speechSeconds + tailSeconds) * framesPerSecond) / framesPerSecond;
  const targets = mouthTargets(phonemes);
  const stresses = phonemes.filter(({ stress }) => stress === 2);
  const clauses = clausesOf(phonemes);
  // Like a speaker, blinks at the start of each clause but the first, and at the very end.
  const blinks = [...clauses.slice(1).map(({ startSeconds }) => startSeconds - 0.1), speechSeconds + 0.05];
  const breaths = Math.max(1, Math.round(durationSeconds / 3.6));

  return {
    durationSeconds,
    poseAt(positionSeconds) {
      const seconds = positionSeconds - leadSeconds;
      const settled = bump(positionSeconds, 0, durationSeconds, 0.45);
      const emphasis = stresses.reduce(
        (total, { startSeconds }) => total + pulse(seconds - startSeconds - 0.06, 0.11),
        0,
      );
      const clauseStart = clauses.reduce(
        (total, { startSeconds }) => total + pulse(seconds - startSeconds - 0.2, 0.28),
        0,
      );
      const lean = clauses.reduce(
        (total, clause, index) =>
          total + (index % 2 ? -1 : 1) * bump(seconds, clause.startSeconds - 0.25, clause.endSeconds + 0.25, 0.5),
        0,
      );
      return {
        mouth: mouthAt(targets, seconds),
        smile: 0.35 * settled,
        blink: blinkAt(blinks, seconds),
        brow: settled * Math.min(1, 0.55 * clauseStart + 0.2 * emphasis),
        gaze: { x: 0, y: 0 },
        head: {
          yaw: settled * (0.22 * lean + 0.12 * Math.sin(seconds * 2.1)),
          pitch: settled * (0.42 * Math.min(1.2, emphasis) - 0.25 * clauseStart),
          tilt: settled * (0.3 * lean + 0.12 * Math.sin(seconds * 1.7 + 1)),
        },
        breath: breathAt((positionSeconds / durationSeconds) * breaths),
      };
    },
  };
}

/** Time in which a face moves from its previous pose into the next motion. */
const EASE_SECONDS = 0.4;

/**
 * @returns A motion that starts in the pose in which another one was left. The mouth is the motion's own from the start,
 * because it must be in sync with the voice.
 */
export function easedFrom(start: Pose, { durationSeconds, poseAt }: Motion): Motion {
  return {
    durationSeconds,
    poseAt(seconds) {
      return mixPoses(start, poseAt(seconds), smooth(seconds / EASE_SECONDS));
    },
  };
}

/** @returns Stretches of speech between pauses. */
function clausesOf(phonemes: readonly Phoneme[]): { startSeconds: number; endSeconds: number }[] {
  const clauses: { startSeconds: number; endSeconds: number }[] = [];
  for (const { startSeconds, endSeconds } of phonemes) {
    const last = clauses.at(-1);
    if (last && startSeconds - last.endSeconds < 0.1) last.endSeconds = endSeconds;
    else clauses.push({ startSeconds, endSeconds });
  }
  return clauses;
}

// Eyes jump; the head turns slowly.
const EYE_JUMP_SECONDS = 0.09;
const HEAD_TURN_SECONDS = 0.55;

function gazeAt(glances: readonly Glance[], seconds: number): { x: number; y: number } {
  return sumGlances(glances, (glance) => bump(seconds, glance.fromSeconds, glance.toSeconds, EYE_JUMP_SECONDS));
}

function headAt(glances: readonly Glance[], seconds: number): { x: number; y: number } {
  return sumGlances(glances, (glance) => bump(seconds, glance.fromSeconds, glance.toSeconds + 0.4, HEAD_TURN_SECONDS));
}

function sumGlances(glances: readonly Glance[], amount: (glance: Glance) => number): { x: number; y: number } {
  return glances.reduce(
    (total, glance) => ({ x: total.x + glance.x * amount(glance), y: total.y + glance.y * amount(glance) }),
    { x: 0, y: 0 },
  );
}

/** A blink closes in 80 ms and opens in 140 ms. */
function blinkAt(blinksAtSeconds: readonly number[], seconds: number): number {
  let blink = 0;
  for (const at of blinksAtSeconds) {
    const since = seconds - at;
    blink = Math.max(blink, since < 0 ? smooth(1 + since / 0.08) : smooth(1 - (since - 0.03) / 0.14));
  }
  return blink;
}

/** @returns 0 at whole breaths and 1 between them, with zero speed at both. */
function breathAt(breaths: number): number {
  return 0.5 - 0.5 * Math.cos(2 * Math.PI * breaths);
}

function wave(turns: number): number {
  return Math.sin(2 * Math.PI * turns);
}

/** Rises from 0 to 1 within `ramp` after `from`, and returns to 0 at `to`. */
function bump(seconds: number, from: number, to: number, ramp: number): number {
  return smooth((seconds - from) / ramp) * smooth((to - seconds) / ramp);
}

/** @returns A bell curve of height 1 around zero. */
function pulse(seconds: number, width: number): number {
  return Math.exp(-((seconds / width) ** 2));
}

function smooth(ratio: number): number {
  const x = clamp(ratio);
  return x * x * (3 - 2 * x);
}

function clamp(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}
