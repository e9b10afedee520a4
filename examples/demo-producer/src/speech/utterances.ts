import {
  easedFrom,
  FRAMES_PER_SECOND,
  NEUTRAL_POSE,
  type Pose,
  SPEECH_SAMPLE_RATE,
  type Speech,
  speechMotion,
} from '@humancast/demo-face';
import { sentencesOf } from './sentences.js';

/** 735 samples, exactly. */
export const SAMPLES_PER_FRAME = SPEECH_SAMPLE_RATE / FRAMES_PER_SECOND;

/** Time for the mouth to open before the voice, s; short, because it delays the speech. */
const LEAD_SECONDS = 2 / FRAMES_PER_SECOND;
/** Pause between two sentences, and rest after the last one, s. */
const PAUSE_SECONDS = 0.3;
const REST_SECONDS = 0.5;

/**
 * A sentence as video frames, with the audio samples for each. Both ends are in the neutral pose, except for the start pose.
 */
export interface Utterance {
  readonly frames: number;
  /** What is said in it, from when until when, ms. */
  readonly text: string;
  readonly saidFromMs: number;
  readonly saidUntilMs: number;
  poseAt(frame: number): Pose;
  audioOf(frame: number): Int16Array;
}

export type Speak = (text: string, options: { voice: string }) => Promise<Speech>;

/**
 * Synthesizes a text sentence by sentence, starting at once. While one sentence is in use, only the next is synthesized,
 * because the speech may be interrupted.
 * @param startPose the pose of the first frame, requested just before drawing it.
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
    if (sentence === undefined) return undefined;
    const speech = synthesize(sentence, { voice });
    // A failure reaches the consumer of this sentence; without one it is ignored.
    speech.catch(() => {});
    return { sentence, speech };
  };
  const first = start(0);
  return (async function* () {
    let next = first;
    for (let index = 1; next; index++) {
      const { sentence } = next;
      const speech = await next.speech;
      next = start(index);
      const pose = index === 1 ? await startPose() : NEUTRAL_POSE;
      yield utteranceOf(sentence, speech, pose, next ? PAUSE_SECONDS : REST_SECONDS);
    }
  })();
}

function utteranceOf(text: string, { pcm, phonemes }: Speech, startPose: Pose, tailSeconds: number): Utterance {
  const spoken = speechMotion(phonemes, pcm.length / SPEECH_SAMPLE_RATE, {
    leadSeconds: LEAD_SECONDS,
    tailSeconds,
    framesPerSecond: FRAMES_PER_SECOND,
  });
  const motion = easedFrom(startPose, spoken);
  const frames = Math.round(motion.durationSeconds * FRAMES_PER_SECOND);
  const audio = new Int16Array(frames * SAMPLES_PER_FRAME);
  audio.set(pcm, LEAD_SECONDS * SPEECH_SAMPLE_RATE);
  return {
    frames,
    text,
    saidFromMs: 1000 * LEAD_SECONDS,
    saidUntilMs: 1000 * (LEAD_SECONDS + pcm.length / SPEECH_SAMPLE_RATE),
    poseAt: (frame) => motion.poseAt(frame / FRAMES_PER_SECOND),
    audioOf: (frame) => audio.subarray(frame * SAMPLES_PER_FRAME, (frame + 1) * SAMPLES_PER_FRAME),
  };
}
