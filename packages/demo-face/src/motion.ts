import type { Phoneme } from './alignment.js';
import { REST_MOUTH } from './mouth.js';
import { mixPoses, type Pose } from './pose.js';
import { mouthAt, mouthTargets } from './visemes.js';

/** A face in motion: its pose at each instant from 0 to `durationSeconds`; neutral at both ends. */
export interface Motion {
  durationSeconds: number;
  poseAt(seconds: number): Pose;
}

export interface IdleOptions {
  durationSeconds: number;
  /** Whole breaths in that time, so that the end meets the beginning. */
  breaths: number;
  blinksAtSeconds: readonly number[];
  /** Looks that are taken and given up again. */
  glances?: readonly Glance[];
  /** How the head sways in turn: −1…1 to either side. Default 0.5. */
  sway?: number;
  /** A smile that comes and goes, 0…1. Default 0. */
  smile?: number;
}

interface Glance {
  fromSeconds: number;
  toSeconds: number;
  x: number;
  y: number;
}

/** Listening: breathing, blinking, swaying a little, looking about. */
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
          // The head follows the eyes, less far.
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
  /** Before the first sound. Default 0.25. */
  leadSeconds?: number;
  /** After the last sound, to come to rest. Default 0.5. */
  tailSeconds?: number;
  /** The duration is rounded up to a whole number of frames. Default 30. */
  framesPerSecond?: number;
}

/**
 * Speaking: the mouth follows the phonemes; the head nods on stressed syllables and leans another way at each clause.
 *
 * @param phonemes with times counted from the first sound
 * @param soundSeconds length of the sound
 */
export function speechMotion(
  phonemes: readonly Phoneme[],
  soundSeconds: number,
  options: SpeechMotionOptions = {},
): Motion {
  const { leadSeconds = 0.25, tailSeconds = 0.5, framesPerSecond = 30 } = options;
  const durationSeconds = Math.ceil((leadSeconds + soundSeconds + tailSeconds) * framesPerSecond) / framesPerSecond;
  const targets = mouthTargets(phonemes);
  const stresses = phonemes.filter(({ stress }) => stress === 2);
  const clauses = clausesOf(phonemes);
  // One blink as each clause but the first begins, as speakers do, and one at the very end.
  const blinks = [...clauses.slice(1).map(({ startSeconds }) => startSeconds - 0.1), soundSeconds + 0.05];
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

/** How long a face takes to go over into what it is about to do. */
const EASE_SECONDS = 0.4;

/**
 * A motion that begins in the pose something else was left in. The mouth is the motion's own from the start: it has to be in
 * time with the voice.
 */
export function easedFrom(start: Pose, { durationSeconds, poseAt }: Motion): Motion {
  return {
    durationSeconds,
    poseAt(seconds) {
      return mixPoses(start, poseAt(seconds), smooth(seconds / EASE_SECONDS));
    },
  };
}

/** Stretches of speech between pauses. */
function clausesOf(phonemes: readonly Phoneme[]): { startSeconds: number; endSeconds: number }[] {
  const clauses: { startSeconds: number; endSeconds: number }[] = [];
  for (const { startSeconds, endSeconds } of phonemes) {
    const last = clauses.at(-1);
    if (last && startSeconds - last.endSeconds < 0.1) last.endSeconds = endSeconds;
    else clauses.push({ startSeconds, endSeconds });
  }
  return clauses;
}

// Eyes jump; the head takes its time.
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

/** A blink shuts in 80 ms and opens in 140. */
function blinkAt(blinksAtSeconds: readonly number[], seconds: number): number {
  let blink = 0;
  for (const at of blinksAtSeconds) {
    const since = seconds - at;
    blink = Math.max(blink, since < 0 ? smooth(1 + since / 0.08) : smooth(1 - (since - 0.03) / 0.14));
  }
  return blink;
}

/** 0 at whole breaths, 1 between them, and at rest at both. */
function breathAt(breaths: number): number {
  return 0.5 - 0.5 * Math.cos(2 * Math.PI * breaths);
}

function wave(turns: number): number {
  return Math.sin(2 * Math.PI * turns);
}

/** Rises from 0 to 1 within `ramp` after `from`, and is back at 0 at `to`. */
function bump(seconds: number, from: number, to: number, ramp: number): number {
  return smooth((seconds - from) / ramp) * smooth((to - seconds) / ramp);
}

/** A bell of height 1 around zero. */
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
