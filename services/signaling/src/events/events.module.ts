import {
  connectSubscriber,
  type Logger,
  type Redis,
  SessionRegistry,
  type SignalingConfig,
  StreamFeed,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { SignalingMetrics } from '../metrics.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, SUBSCRIBER_REDIS, TIMINGS_TOKEN } from '../tokens.js';
import { EventFeed } from './event-feed.js';
import { EventStreams } from './event-streams.js';
import { EventsController } from './events.controller.js';

/** Sessions' events, to viewers and to producers. */
@Module({
  controllers: [EventsController],
  providers: [
    {
      provide: SUBSCRIBER_REDIS,
      useFactory: (config: SignalingConfig, logger: Logger, address: string) =>
        connectSubscriber(config.redisQueueUrl, { name: `${address}.events`, logger }),
      inject: [CONFIG, LOGGER, MAILBOX_ADDRESS],
    },
    {
      provide: EventFeed,
      useFactory: (registry: SessionRegistry, subscriber: Redis, logger: Logger) =>
        new EventFeed(registry, new StreamFeed(subscriber, logger)),
      inject: [SessionRegistry, SUBSCRIBER_REDIS, LOGGER],
    },
    {
      provide: EventStreams,
      useFactory: (
        config: SignalingConfig,
        registry: SessionRegistry,
        feed: EventFeed,
        metrics: SignalingMetrics,
        timings: Timings,
      ) =>
        new EventStreams(
          { registry, feed, metrics },
          { ...config, heartbeatMs: timings.eventHeartbeatMs, lingerMs: timings.eventLingerMs },
        ),
      inject: [CONFIG, SessionRegistry, EventFeed, SignalingMetrics, TIMINGS_TOKEN],
    },
  ],
  exports: [EventFeed, EventStreams, SUBSCRIBER_REDIS],
})
export class EventsModule {}
