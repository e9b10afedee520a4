import { type MouthShape, REST_MOUTH } from './mouth.js';
import { mixPoses, NEUTRAL_POSE, type Pose } from './pose.js';

/** Levels at which the mouth is shut, and wide open, dBFS. */
const SHUT_DB = -48;
const OPEN_DB = -14;
const WIDEST = 0.75;
/** Share of the way that the mouth moves to a larger, or a smaller, opening in a frame. */
const OPENING = 0.7;
const CLOSING = 0.45;
/** Sign changes per second of vowels at most, and of "s" at least. */
const VOWEL_CHANGES = 3000;
const HISS_CHANGES = 7000;
/** Time in which the face comes out of its first pose, and back to rest. */
const EASE_SECONDS = 0.4;

/**
 * Moves the face by a voice alone, when the text and its phonemes are unknown: the jaw follows the level, and the lips are
 * spread by hissing sounds and rounded by dark ones.
 */
export class VoiceFace {
  readonly #start: Pose;
  readonly #sampleRate: number;
  #seconds = 0;
  #open = 0;
  #width = 0;
  /** Slow average of the opening, which the head nods with. */
  #emphasis = 0;

  /** @param start Pose of the first frame. */
  constructor(sampleRate: number, start: Pose = NEUTRAL_POSE) {
    this.#sampleRate = sampleRate;
    this.#start = start;
  }

  /** @returns The pose while these samples sound. */
  next(pcm: Int16Array): Pose {
    this.#seconds += pcm.length / this.#sampleRate;
    const { level, changes } = measure(pcm, this.#sampleRate);
    const open = WIDEST * clamp((level - SHUT_DB) / (OPEN_DB - SHUT_DB)) ** 1.6;
    const isHiss = changes > HISS_CHANGES;
    this.#open += ((isHiss ? Math.min(open, 0.15) : open) - this.#open) * (open > this.#open ? OPENING : CLOSING);
    const width = open < 0.02 ? 0 : isHiss ? 0.5 : 0.6 * (changes / VOWEL_CHANGES) - 0.5;
    this.#width += (Math.max(-0.8, Math.min(0.7, width)) - this.#width) * CLOSING;
    this.#emphasis += (this.#open - this.#emphasis) * 0.12;
    return mixPoses(this.#start, this.#pose(), smooth(this.#seconds / EASE_SECONDS));
  }

  /** @returns The poses, after the last sample, in which the face comes to rest. */
  rest(framesPerSecond: number): Pose[] {
    const last = this.#pose();
    const frames = Math.ceil(EASE_SECONDS * framesPerSecond);
    return Array.from({ length: frames }, (_, index) => {
      const ratio = smooth((index + 1) / frames);
      const mouth: MouthShape = { ...REST_MOUTH, open: this.#open * (1 - ratio), width: this.#width * (1 - ratio) };
      return { ...mixPoses(last, NEUTRAL_POSE, ratio), mouth };
    });
  }

  #pose(): Pose {
    const t = this.#seconds;
    return {
      mouth: { ...REST_MOUTH, open: this.#open, width: this.#width },
      smile: 0.3,
      blink: blinkAt(t),
      brow: 0.3 * this.#emphasis,
      gaze: { x: 0, y: 0 },
      head: {
        yaw: 0.18 * Math.sin(t * 1.3),
        pitch: 0.5 * this.#emphasis + 0.1 * Math.sin(t * 2.1),
        tilt: 0.2 * Math.sin(t * 0.9 + 1),
      },
      breath: 0.5 - 0.5 * Math.cos((2 * Math.PI * t) / 3.6),
    };
  }
}

/** @returns The level, dBFS, and the number of sign changes per second. */
function measure(pcm: Int16Array, sampleRate: number): { level: number; changes: number } {
  let power = 0;
  let changes = 0;
  for (let i = 0; i < pcm.length; i++) {
    const sample = pcm[i] as number;
    power += sample * sample;
    if (i > 0 && sample < 0 !== (pcm[i - 1] as number) < 0) changes++;
  }
  const level = 10 * Math.log10(Math.max(1, power / Math.max(1, pcm.length)) / 32_768 ** 2);
  return { level, changes: (changes * sampleRate) / Math.max(1, pcm.length) };
}

/** Blinks every 3.7 s. */
function blinkAt(seconds: number): number {
  const since = Math.abs((seconds % 3.7) - 2);
  return smooth(1 - since / 0.12);
}

function smooth(ratio: number): number {
  const x = clamp(ratio);
  return x * x * (3 - 2 * x);
}

function clamp(ratio: number): number {
  return Math.min(1, Math.max(0, ratio));
}
