import {
  AvatarStore,
  type Logger,
  type Redis,
  RedisMediaStore,
  SessionRegistry,
  type SignalingConfig,
  type Tracer,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { Fleet } from '../hosting/fleet.js';
import { HeadRoom } from '../hosting/head-room.js';
import { Hosting } from '../hosting/hosting.js';
import { HostingModule } from '../hosting/hosting.module.js';
import { Inspector } from '../hosting/inspector.js';
import { SignalingMetrics } from '../metrics.js';
import { SayModule } from '../say/say.module.js';
import { CONFIG, LOGGER, QUEUE_REDIS, TRACER } from '../tokens.js';
import { SessionService } from './session-service.js';
import { SessionViews } from './session-view.js';
import { SessionsController } from './sessions.controller.js';

/** Sessions over REST. */
@Module({
  imports: [HostingModule, SayModule],
  controllers: [SessionsController],
  providers: [
    { provide: HeadRoom, useFactory: (redis: Redis) => new HeadRoom(redis), inject: [QUEUE_REDIS] },
    {
      provide: SessionService,
      useFactory: (
        config: SignalingConfig,
        logger: Logger,
        tracer: Tracer,
        registry: SessionRegistry,
        avatars: AvatarStore,
        media: RedisMediaStore,
        hosting: Hosting,
        fleet: Fleet,
        metrics: SignalingMetrics,
        headRoom: HeadRoom,
      ) => new SessionService({ registry, avatars, media, hosting, fleet, headRoom, metrics, logger, tracer }, config),
      inject: [
        CONFIG,
        LOGGER,
        TRACER,
        SessionRegistry,
        AvatarStore,
        RedisMediaStore,
        Hosting,
        Fleet,
        SignalingMetrics,
        HeadRoom,
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
