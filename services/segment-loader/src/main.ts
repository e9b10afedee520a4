import 'reflect-metadata';
import { loaderSettings } from '@humancast/shared';
import { runService } from '@humancast/shared/nest';
import { startSegmentLoader } from './segment-loader.module.js';

runService('segment-loader', loaderSettings, (config, logger, tracer) =>
  startSegmentLoader(config, logger, { tracer }),
);
