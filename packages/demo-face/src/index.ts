export { FaceCamera } from './face-camera.js';
export { FRAMES_PER_SECOND, IDLE_CLIPS } from './idle-clips.js';
export { IdlePoses } from './idle-pose.js';
export { easedFrom, idleMotion, type Motion, speechMotion } from './motion.js';
export { FacePainter } from './painter.js';
export { NEUTRAL_POSE, type Pose } from './pose.js';
export { SPEECH_SAMPLE_RATE, type Speech, speak } from './speech.js';
export { VoiceFace } from './voice-face.js';
