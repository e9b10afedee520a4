import {
  type Logger,
  RedisPost,
  SessionRegistry,
  type SignalingConfig,
  type ToSignaling,
  type Tracer,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { EventFeed } from '../events/event-feed.js';
import { EventsModule } from '../events/events.module.js';
import { Limits } from '../limits/limits.js';
import { SignalingMetrics } from '../metrics.js';
import { Inbox } from '../routing/inbox.js';
import { RoutingModule } from '../routing/routing.module.js';
import { SessionRouter } from '../routing/session-router.js';
import { SessionService } from '../sessions/session-service.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, TIMINGS_TOKEN, TRACER } from '../tokens.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { TurnUsers } from '../turn/turn-users.js';
import { Connections } from './connections.js';
import { SignalGateway } from './signal.gateway.js';
import { WaitingViewers } from './waiting-viewers.js';

/** `WS /v1/signal`. */
@Module({
  imports: [RoutingModule, EventsModule, SessionsModule],
  providers: [
    {
      provide: WaitingViewers,
      useFactory: (
        registry: SessionRegistry,
        router: SessionRouter,
        metrics: SignalingMetrics,
        logger: Logger,
        timings: Timings,
      ) => new WaitingViewers({ registry, router, metrics, logger }, timings),
      inject: [SessionRegistry, SessionRouter, SignalingMetrics, LOGGER, TIMINGS_TOKEN],
    },
    {
      provide: Connections,
      useFactory: (
        config: SignalingConfig,
        logger: Logger,
        tracer: Tracer,
        mailbox: string,
        metrics: SignalingMetrics,
        registry: SessionRegistry,
        router: SessionRouter,
        inbox: Inbox,
        post: RedisPost<ToSignaling>,
        feed: EventFeed,
        turn: TurnCredentials,
        turnUsers: TurnUsers,
        waitingViewers: WaitingViewers,
        sessions: SessionService,
        limits: Limits,
      ) =>
        new Connections(
          {
            registry,
            router,
            inbox,
            post,
            feed,
            turn,
            turnUsers,
            waitingViewers,
            metrics,
            logger,
            tracer,
            mailbox,
            viewerLimit: config.viewerLimit,
            interrupt: (session) => {
              limits.requireInterrupt(session);
              return sessions.interrupt(session);
            },
          },
          {
            tokenSecret: config.tokenSecret,
            relayOnly: config.turnUrls.length > 0 && config.relayOnly,
            heartbeatMs: config.heartbeatMs,
            viewerGraceMs: config.viewerGraceMs,
          },
        ),
      inject: [
        CONFIG,
        LOGGER,
        TRACER,
        MAILBOX_ADDRESS,
        SignalingMetrics,
        SessionRegistry,
        SessionRouter,
        Inbox,
        RedisPost,
        EventFeed,
        TurnCredentials,
        TurnUsers,
        WaitingViewers,
        SessionService,
        Limits,
      ],
    },
    SignalGateway,
  ],
  exports: [SignalGateway, WaitingViewers],
})
export class SignalModule {}
