import 'reflect-metadata';
import { signalingSettings } from '@humancast/shared';
import { runService } from '@humancast/shared/nest';
import { startSignaling } from './signaling.module.js';
import { TIMINGS } from './timings.js';

runService('signaling', signalingSettings, (config, logger, tracer) => startSignaling(config, logger, TIMINGS, tracer));
