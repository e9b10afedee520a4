export { type RunningSegmentLoader, startSegmentLoader } from './segment-loader.module.js';
