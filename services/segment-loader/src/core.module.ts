import {
  ApiKeys,
  AvatarStore,
  connectRedis,
  type LoaderConfig,
  type Logger,
  newId,
  type Redis,
  RedisMediaStore,
  RequestLimits,
  type Tracer,
} from '@humancast/shared';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { LoaderMetrics } from './metrics.js';
import type { DeletionParts } from './retention/deletion.js';
import type { RetentionMetrics } from './retention/retention-metrics.js';
import { AFTER_DELETION_STEP, CONFIG, LOGGER, MEDIA_REDIS, QUEUE_REDIS, RETENTION_METRICS, TRACER } from './tokens.js';

export interface CoreParts {
  readonly config: LoaderConfig;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: LoaderMetrics;
  readonly retention: RetentionMetrics;
  readonly afterDeletionStep?: DeletionParts['afterStep'];
}

@Global()
@Module({})
class CoreModule {}

/** What every capability builds on. */
export function coreModule({
  config,
  logger,
  tracer,
  metrics,
  retention,
  afterDeletionStep,
}: CoreParts): DynamicModule {
  const name = newId('ldr');
  const keys = new ApiKeys(config.apiKeys, config.apiKeyFile, { onProblem: (problem) => logger.warn(problem) });
  const requestLimits = new RequestLimits(config, ({ headers }) => keys.fingerprintOf(headers.authorization));
  const providers = [
    { provide: CONFIG, useValue: config },
    { provide: LOGGER, useValue: logger },
    { provide: TRACER, useValue: tracer },
    { provide: ApiKeys, useValue: keys },
    { provide: LoaderMetrics, useValue: metrics },
    { provide: RequestLimits, useValue: requestLimits },
    { provide: RETENTION_METRICS, useValue: retention },
    { provide: AFTER_DELETION_STEP, useValue: afterDeletionStep ?? null },
    { provide: QUEUE_REDIS, useFactory: () => connectRedis(config.redisQueueUrl, { name, logger }) },
    { provide: MEDIA_REDIS, useFactory: () => connectRedis(config.redisMediaUrl, { name: `${name}.media`, logger }) },
    { provide: AvatarStore, useFactory: (redis: Redis) => new AvatarStore(redis), inject: [QUEUE_REDIS] },
    { provide: RedisMediaStore, useFactory: (redis: Redis) => new RedisMediaStore(redis), inject: [MEDIA_REDIS] },
  ];
  return { module: CoreModule, providers, exports: providers.map(({ provide }) => provide) };
}
