import { runService, signalingSettings } from '@humancast/shared';
import { startSignaling } from './signaling.module.js';
import { TIMINGS } from './timings.js';

runService('signaling', signalingSettings, (config, logger, tracer) => startSignaling(config, logger, TIMINGS, tracer));
