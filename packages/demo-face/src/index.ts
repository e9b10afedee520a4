export { IDLE_CLIPS } from './idle-clips.js';
export { easedFrom, type IdleOptions, idleMotion, type Motion, speechMotion } from './motion.js';
export { FacePainter } from './painter.js';
export { NEUTRAL_POSE, type Pose } from './pose.js';
export { SPEECH_SAMPLE_RATE, type Speech, speak } from './speech.js';
