import { type LoaderConfig, type Logger, RedisMediaStore } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { LoaderMetrics } from '../metrics.js';
import { CONFIG, LOGGER } from '../tokens.js';
import { LoadQueue } from './load-queue.js';
import { SegmentLoader } from './segment-loader.js';

@Module({
  providers: [
    {
      provide: LoadQueue,
      useFactory: (config: LoaderConfig) => new LoadQueue(config.loadConcurrency),
      inject: [CONFIG],
    },
    {
      provide: SegmentLoader,
      useFactory: (store: RedisMediaStore, config: LoaderConfig, metrics: LoaderMetrics, logger: Logger) =>
        new SegmentLoader(store, config, metrics, logger),
      inject: [RedisMediaStore, CONFIG, LoaderMetrics, LOGGER],
    },
  ],
  exports: [LoadQueue, SegmentLoader],
})
export class LoadingModule {}
