export type { Phoneme, PhonemeName } from './alignment.js';
export { drawFace } from './face.js';
export { IDLE_CLIPS } from './idle-clips.js';
export {
  easedFrom,
  type Glance,
  type IdleOptions,
  idleMotion,
  type Motion,
  type SpeechMotionOptions,
  speechMotion,
} from './motion.js';
export { type MouthShape, REST_MOUTH } from './mouth.js';
export { FacePainter } from './painter.js';
export { NEUTRAL_POSE, type Pose } from './pose.js';
export { MAX_TEXT_LENGTH, SPEECH_SAMPLE_RATE, type Speech, type SpeechOptions, speak } from './speech.js';
export { type MouthTarget, mouthAt, mouthTargets, type VisemeName, visemesOf } from './visemes.js';
