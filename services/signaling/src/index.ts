export { startSignaling } from './signaling.module.js';
export { TIMINGS, type Timings } from './timings.js';
