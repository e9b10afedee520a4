import {
  ApiKeys,
  AvatarStore,
  connectRedis,
  type Logger,
  newId,
  type Redis,
  RedisMediaStore,
  RequestLimits,
  SenderRegistry,
  SessionRegistry,
  type SignalingConfig,
  type Tracer,
} from '@humancast/shared';
import { type DynamicModule, Global, Module } from '@nestjs/common';
import { Access } from './auth/access.js';
import { DemoSessions } from './demo/demo-sessions.js';
import { KnownHosts } from './http/known-hosts.js';
import { Origins } from './http/origins.js';
import { Limits } from './limits/limits.js';
import { SignalingMetrics } from './metrics.js';
import type { Timings } from './timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, MEDIA_REDIS, QUEUE_REDIS, TIMINGS_TOKEN, TRACER } from './tokens.js';
import { TurnCredentials } from './turn/turn-credentials.js';
import { TurnUsers } from './turn/turn-users.js';

export interface CoreParts {
  config: SignalingConfig;
  logger: Logger;
  tracer: Tracer;
  metrics: SignalingMetrics;
  timings: Timings;
}

@Global()
@Module({})
class CoreModule {}

/** What every capability builds on. */
export function coreModule({ config, logger, tracer, metrics, timings }: CoreParts): DynamicModule {
  const address = newId('sig');
  const keys = new ApiKeys(config.apiKeys, config.apiKeyFile, { onProblem: (problem) => logger.warn(problem) });
  const requestLimits = new RequestLimits(config, ({ headers }) => keys.fingerprintOf(headers.authorization));
  const values = [
    { provide: CONFIG, useValue: config },
    { provide: LOGGER, useValue: logger },
    { provide: TRACER, useValue: tracer },
    { provide: TIMINGS_TOKEN, useValue: timings },
    { provide: MAILBOX_ADDRESS, useValue: address },
    { provide: SignalingMetrics, useValue: metrics },
    { provide: RequestLimits, useValue: requestLimits },
    { provide: KnownHosts, useValue: new KnownHosts(config) },
    { provide: Origins, useValue: new Origins(config) },
    { provide: Limits, useValue: new Limits(config, requestLimits) },
    { provide: TurnUsers, useValue: new TurnUsers(config) },
    {
      provide: TurnCredentials,
      useValue: new TurnCredentials(
        {
          urls: config.turnUrls,
          localUrls: config.turnLocalUrls,
          secret: config.turnSecret,
          ttlSeconds: config.turnTtlSeconds,
        },
        () => metrics.credentials.inc(),
      ),
    },
    {
      provide: QUEUE_REDIS,
      useFactory: () => connectRedis(config.redisQueueUrl, { name: address, logger }),
    },
    {
      provide: MEDIA_REDIS,
      useFactory: () => connectRedis(config.redisMediaUrl, { name: `${address}.media`, logger }),
    },
  ];
  const stores = [
    { provide: SessionRegistry, useFactory: (redis: Redis) => new SessionRegistry(redis), inject: [QUEUE_REDIS] },
    {
      provide: DemoSessions,
      useFactory: (registry: SessionRegistry) => new DemoSessions(registry, config),
      inject: [SessionRegistry],
    },
    {
      provide: Access,
      useFactory: (registry: SessionRegistry) => new Access(config, { keys, registry }),
      inject: [SessionRegistry],
    },
    { provide: SenderRegistry, useFactory: (redis: Redis) => new SenderRegistry(redis), inject: [QUEUE_REDIS] },
    { provide: AvatarStore, useFactory: (redis: Redis) => new AvatarStore(redis), inject: [QUEUE_REDIS] },
    { provide: RedisMediaStore, useFactory: (redis: Redis) => new RedisMediaStore(redis), inject: [MEDIA_REDIS] },
  ];
  const providers = [...values, ...stores];
  return { module: CoreModule, providers, exports: providers.map(({ provide }) => provide) };
}
