export { startSegmentLoader } from './segment-loader.module.js';
