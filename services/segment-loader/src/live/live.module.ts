import { resolve } from 'node:path';
import {
  ApiKeys,
  AvatarStore,
  connectSubscriber,
  type LoaderConfig,
  type Logger,
  type Redis,
  RedisLiveWriter,
  RedisMediaStore,
  RedisPost,
  RequestLimits,
  SegmentQueues,
  SessionRegistry,
  Speech,
  StreamFeed,
  systemClock,
  type Tracer,
} from '@humancast/shared';
import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { MediaQuota } from '../retention/media-quota.js';
import { RetentionModule } from '../retention/retention.module.js';
import { SegmentArchive } from '../retention/segment-archive.js';
import { CONFIG, LOGGER, MEDIA_REDIS, QUEUE_REDIS, TRACER } from '../tokens.js';
import { Backdrops } from './backdrops.js';
import { EncoderPool } from './encoder-pool.js';
import { LiveMetrics } from './live-metrics.js';
import { LiveServer } from './live-server.js';

export interface LiveParts {
  readonly metrics: LiveMetrics;
  /** What to run instead of the encoder as built. */
  readonly encoderCommand: readonly string[] | undefined;
}

const EVENTS_SUBSCRIBER = Symbol('events subscriber');

@Module({})
export class LiveModule implements OnApplicationShutdown {
  readonly #subscriber: Redis;

  constructor(@Inject(EVENTS_SUBSCRIBER) subscriber: Redis) {
    this.#subscriber = subscriber;
  }

  static with({ metrics, encoderCommand }: LiveParts): DynamicModule {
    return {
      module: LiveModule,
      imports: [RetentionModule],
      providers: [
        { provide: LiveMetrics, useValue: metrics },
        {
          provide: EVENTS_SUBSCRIBER,
          useFactory: (config: LoaderConfig, logger: Logger) =>
            connectSubscriber(config.redisQueueUrl, { name: 'segment-loader events', logger }),
          inject: [CONFIG, LOGGER],
        },
        {
          provide: EncoderPool,
          useFactory: (logger: Logger) => new EncoderPool(logger, encoderCommand),
          inject: [LOGGER],
        },
        {
          provide: LiveServer,
          useFactory: createLiveServer,
          inject: [
            CONFIG,
            LOGGER,
            TRACER,
            QUEUE_REDIS,
            MEDIA_REDIS,
            EVENTS_SUBSCRIBER,
            AvatarStore,
            RedisMediaStore,
            SegmentArchive,
            MediaQuota,
            EncoderPool,
            LiveMetrics,
            RequestLimits,
            ApiKeys,
          ],
        },
      ],
      exports: [LiveServer, EncoderPool],
    };
  }

  onApplicationShutdown(): void {
    this.#subscriber.disconnect();
  }
}

function createLiveServer(
  config: LoaderConfig,
  logger: Logger,
  tracer: Tracer,
  queue: Redis,
  media: Redis,
  subscriber: Redis,
  avatars: AvatarStore,
  store: RedisMediaStore,
  archive: SegmentArchive,
  quota: MediaQuota,
  encoders: EncoderPool,
  metrics: LiveMetrics,
  requestLimits: RequestLimits,
  keys: ApiKeys,
): LiveServer {
  const registry = new SessionRegistry(queue);
  const events = new StreamFeed(subscriber, logger);
  return new LiveServer({
    config,
    keys,
    avatars,
    registry,
    speech: new Speech(registry, new SegmentQueues(queue), new RedisPost(queue, logger)),
    events,
    requestLimits,
    push: {
      config,
      store,
      archive,
      quota,
      live: new RedisLiveWriter(media),
      backdrops: new Backdrops(resolve(config.mediaDir), config),
      takeEncoder: () => encoders.take(),
      metrics,
      clock: systemClock,
      logger,
      tracer,
    },
  });
}
