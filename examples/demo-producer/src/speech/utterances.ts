import {
  easedFrom,
  NEUTRAL_POSE,
  type Pose,
  SPEECH_SAMPLE_RATE,
  type Speech,
  speechMotion,
} from '@humancast/demo-face';
import { sentencesOf } from './sentences.js';

export const FRAMES_PER_SECOND = 30;
/** 735, exactly. */
export const SAMPLES_PER_FRAME = SPEECH_SAMPLE_RATE / FRAMES_PER_SECOND;

/** The mouth opens before the voice is heard, but nobody should have to wait for it. */
const LEAD_SECONDS = 2 / FRAMES_PER_SECOND;
/** From one sentence to the next, and to come to rest after the last. */
const PAUSE_SECONDS = 0.3;
const REST_SECONDS = 0.5;

/** A sentence as frames, with as many samples for each. The face is at rest at both ends, but where the first one begins. */
export interface Utterance {
  readonly frames: number;
  poseAt(frame: number): Pose;
  audioOf(frame: number): Int16Array;
}

export type Speak = (text: string, options: { voice: string }) => Promise<Speech>;

/**
 * Speaks a text sentence by sentence, beginning at once; the next one is synthesised while the one before is in use, and no
 * further ahead, as it may never be heard.
 * @param startPose of the first frame, asked for when it is about to be drawn.
 * @throws Error, on iteration, when espeak-ng fails.
 */
export function utterancesOf(
  text: string,
  voice: string,
  synthesize: Speak,
  startPose: () => Promise<Pose> = async () => NEUTRAL_POSE,
): AsyncGenerator<Utterance, void, undefined> {
  const sentences = sentencesOf(text);
  const start = (index: number) => {
    const sentence = sentences[index];
    const speech = sentence === undefined ? undefined : synthesize(sentence, { voice });
    // Whoever takes it, hears of its failure; it may be that nobody does.
    speech?.catch(() => {});
    return speech;
  };
  const first = start(0);
  return (async function* () {
    let next = first;
    for (let index = 1; next; index++) {
      const speech = await next;
      next = start(index);
      const pose = index === 1 ? await startPose() : NEUTRAL_POSE;
      yield utteranceOf(speech, pose, next ? PAUSE_SECONDS : REST_SECONDS);
    }
  })();
}

function utteranceOf({ pcm, phonemes }: Speech, startPose: Pose, tailSeconds: number): Utterance {
  const spoken = speechMotion(phonemes, pcm.length / SPEECH_SAMPLE_RATE, {
    leadSeconds: LEAD_SECONDS,
    tailSeconds,
    framesPerSecond: FRAMES_PER_SECOND,
  });
  const motion = easedFrom(startPose, spoken);
  const frames = Math.round(motion.durationSeconds * FRAMES_PER_SECOND);
  const sound = new Int16Array(frames * SAMPLES_PER_FRAME);
  sound.set(pcm, LEAD_SECONDS * SPEECH_SAMPLE_RATE);
  return {
    frames,
    poseAt: (frame) => motion.poseAt(frame / FRAMES_PER_SECOND),
    audioOf: (frame) => sound.subarray(frame * SAMPLES_PER_FRAME, (frame + 1) * SAMPLES_PER_FRAME),
  };
}
