import {
  AvatarStore,
  type Logger,
  type Redis,
  RedisMediaStore,
  SessionRegistry,
  type SignalingConfig,
  Speech,
  type Tracer,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { SayModule } from '../demo-say/say.module.js';
import { SignalingMetrics } from '../metrics.js';
import { Inspector } from '../routing/inspector.js';
import { QueueMemory } from '../routing/queue-memory.js';
import { RoutingModule } from '../routing/routing.module.js';
import { SessionRouter } from '../routing/session-router.js';
import { Fleet } from '../senders/fleet.js';
import { CONFIG, LOGGER, QUEUE_REDIS, TRACER } from '../tokens.js';
import { SessionService } from './session-service.js';
import { SessionViews } from './session-view.js';
import { SessionsController } from './sessions.controller.js';

/** Sessions over REST. */
@Module({
  imports: [RoutingModule, SayModule],
  controllers: [SessionsController],
  providers: [
    { provide: QueueMemory, useFactory: (redis: Redis) => new QueueMemory(redis), inject: [QUEUE_REDIS] },
    {
      provide: SessionService,
      useFactory: (
        config: SignalingConfig,
        logger: Logger,
        tracer: Tracer,
        registry: SessionRegistry,
        avatars: AvatarStore,
        media: RedisMediaStore,
        router: SessionRouter,
        speech: Speech,
        fleet: Fleet,
        metrics: SignalingMetrics,
        queueMemory: QueueMemory,
      ) =>
        new SessionService(
          { registry, avatars, media, router, speech, fleet, queueMemory, metrics, logger, tracer },
          config,
        ),
      inject: [
        CONFIG,
        LOGGER,
        TRACER,
        SessionRegistry,
        AvatarStore,
        RedisMediaStore,
        SessionRouter,
        Speech,
        Fleet,
        SignalingMetrics,
        QueueMemory,
      ],
    },
    {
      provide: SessionViews,
      useFactory: (registry: SessionRegistry, inspector: Inspector) => new SessionViews(registry, inspector),
      inject: [SessionRegistry, Inspector],
    },
  ],
  exports: [SessionService],
})
export class SessionsModule {}
