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
import { Hosting } from '../hosting/hosting.js';
import { HostingModule } from '../hosting/hosting.module.js';
import { Inbox } from '../hosting/inbox.js';
import { Limits } from '../limits/limits.js';
import { SignalingMetrics } from '../metrics.js';
import { SessionService } from '../sessions/session-service.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, TIMINGS_TOKEN, TRACER } from '../tokens.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { TurnUsers } from '../turn/turn-users.js';
import { SignalGateway } from './signal.gateway.js';
import { ViewerDesk } from './viewer-desk.js';
import { WaitingRoom } from './waiting-room.js';

/** `WS /v1/signal`. */
@Module({
  imports: [HostingModule, EventsModule, SessionsModule],
  providers: [
    {
      provide: WaitingRoom,
      useFactory: (
        registry: SessionRegistry,
        hosting: Hosting,
        metrics: SignalingMetrics,
        logger: Logger,
        timings: Timings,
      ) => new WaitingRoom({ registry, hosting, metrics, logger }, timings),
      inject: [SessionRegistry, Hosting, SignalingMetrics, LOGGER, TIMINGS_TOKEN],
    },
    {
      provide: ViewerDesk,
      useFactory: (
        config: SignalingConfig,
        logger: Logger,
        tracer: Tracer,
        mailbox: string,
        metrics: SignalingMetrics,
        registry: SessionRegistry,
        hosting: Hosting,
        inbox: Inbox,
        post: RedisPost<ToSignaling>,
        feed: EventFeed,
        turn: TurnCredentials,
        turnUsers: TurnUsers,
        waitingRoom: WaitingRoom,
        sessions: SessionService,
        limits: Limits,
      ) =>
        new ViewerDesk(
          {
            registry,
            hosting,
            inbox,
            post,
            feed,
            turn,
            turnUsers,
            waitingRoom,
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
        Hosting,
        Inbox,
        RedisPost,
        EventFeed,
        TurnCredentials,
        TurnUsers,
        WaitingRoom,
        SessionService,
        Limits,
      ],
    },
    SignalGateway,
  ],
  exports: [SignalGateway, WaitingRoom],
})
export class SignalModule {}
