import 'reflect-metadata';
import { signalingSettings } from '@humancast/shared';
import { runService } from '@humancast/shared/nest';
import { startSignaling } from './signaling.module.js';

runService('signaling', signalingSettings, startSignaling);
