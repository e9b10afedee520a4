import { type LoaderConfig, type Logger, RedisMediaStore } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { LoaderMetrics } from '../metrics.js';
import { MediaQuota } from '../retention/media-quota.js';
import { RetentionModule } from '../retention/retention.module.js';
import { CONFIG, LOGGER } from '../tokens.js';
import { LoadQueue } from './load-queue.js';
import { SegmentLoader } from './segment-loader.js';

@Module({
  imports: [RetentionModule],
  providers: [
    {
      provide: LoadQueue,
      useFactory: (config: LoaderConfig) => new LoadQueue(config.loadConcurrency),
      inject: [CONFIG],
    },
    {
      provide: SegmentLoader,
      useFactory: (
        store: RedisMediaStore,
        quota: MediaQuota,
        config: LoaderConfig,
        metrics: LoaderMetrics,
        logger: Logger,
      ) => new SegmentLoader(store, quota, config, metrics, logger),
      inject: [RedisMediaStore, MediaQuota, CONFIG, LoaderMetrics, LOGGER],
    },
  ],
  exports: [LoadQueue, SegmentLoader],
})
export class LoadingModule {}
