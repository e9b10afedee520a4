import { loaderSettings, runService } from '@humancast/shared';
import { startSegmentLoader } from './segment-loader.module.js';

runService('segment-loader', loaderSettings, (config, logger, tracer) =>
  startSegmentLoader(config, logger, { tracer }),
);
