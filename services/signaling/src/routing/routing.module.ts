import {
  connectRedis,
  type Logger,
  type Redis,
  RedisMailbox,
  RedisPost,
  SegmentQueues,
  SenderRegistry,
  SessionRegistry,
  type SignalingConfig,
  Speech,
  toSignalingSchema,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { SignalingMetrics } from '../metrics.js';
import { Fleet } from '../senders/fleet.js';
import { SendersController } from '../senders/senders.controller.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, QUEUE_REDIS, TIMINGS_TOKEN } from '../tokens.js';
import { Inbox } from './inbox.js';
import { Inspector } from './inspector.js';
import { JobQueues } from './job-queues.js';
import { SessionRouter } from './session-router.js';
import { Sweeper } from './sweeper.js';

/** How signaling and media-senders find and reach each other. */
@Module({
  controllers: [SendersController],
  providers: [
    { provide: SegmentQueues, useFactory: (redis: Redis) => new SegmentQueues(redis), inject: [QUEUE_REDIS] },
    {
      provide: JobQueues,
      useFactory: (redis: Redis, segments: SegmentQueues) => new JobQueues(redis, segments),
      inject: [QUEUE_REDIS, SegmentQueues],
    },
    {
      provide: Speech,
      useFactory: (registry: SessionRegistry, queues: SegmentQueues, post: RedisPost<never>) =>
        new Speech(registry, queues, post),
      inject: [SessionRegistry, SegmentQueues, RedisPost],
    },
    {
      provide: RedisMailbox,
      useFactory: (config: SignalingConfig, logger: Logger, redis: Redis, address: string) => {
        const name = `${address}.mailbox`;
        const reader = connectRedis(config.redisQueueUrl, { name, logger, waitForReconnect: true });
        return new RedisMailbox(address, reader, redis, toSignalingSchema, logger);
      },
      inject: [CONFIG, LOGGER, QUEUE_REDIS, MAILBOX_ADDRESS],
    },
    {
      provide: RedisPost,
      useFactory: (redis: Redis, logger: Logger) => new RedisPost(redis, logger),
      inject: [QUEUE_REDIS, LOGGER],
    },
    {
      provide: SessionRouter,
      useFactory: (registry: SessionRegistry, jobs: JobQueues, post: RedisPost<never>) =>
        new SessionRouter(registry, jobs, post),
      inject: [SessionRegistry, JobQueues, RedisPost],
    },
    {
      provide: Fleet,
      useFactory: (senders: SenderRegistry, jobs: JobQueues, post: RedisPost<never>) =>
        new Fleet({ senders, jobs, post }),
      inject: [SenderRegistry, JobQueues, RedisPost],
    },
    {
      provide: Inspector,
      useFactory: (router: SessionRouter, address: string, timings: Timings) =>
        new Inspector(router, address, timings.inspectMs),
      inject: [SessionRouter, MAILBOX_ADDRESS, TIMINGS_TOKEN],
    },
    { provide: Inbox, useFactory: (inspector: Inspector) => new Inbox(inspector), inject: [Inspector] },
    {
      provide: Sweeper,
      useFactory: (
        config: SignalingConfig,
        timings: Timings,
        logger: Logger,
        mailbox: string,
        redis: Redis,
        registry: SessionRegistry,
        senders: SenderRegistry,
        router: SessionRouter,
        metrics: SignalingMetrics,
      ) => new Sweeper({ redis, registry, senders, router, metrics, logger }, { ...config, mailbox, timings }),
      inject: [
        CONFIG,
        TIMINGS_TOKEN,
        LOGGER,
        MAILBOX_ADDRESS,
        QUEUE_REDIS,
        SessionRegistry,
        SenderRegistry,
        SessionRouter,
        SignalingMetrics,
      ],
    },
  ],
  exports: [JobQueues, Speech, RedisMailbox, RedisPost, Fleet, SessionRouter, Inspector, Inbox, Sweeper],
})
export class RoutingModule {}
