import { type Logger, SessionRegistry, type SignalingConfig, type Tracer } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { DemoSessions } from '../demo/demo-sessions.js';
import { SignalingMetrics } from '../metrics.js';
import { Inbox } from '../routing/inbox.js';
import { RoutingModule } from '../routing/routing.module.js';
import { SessionRouter } from '../routing/session-router.js';
import { SessionService } from '../sessions/session-service.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, TIMINGS_TOKEN, TRACER } from '../tokens.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { WhepController } from './whep.controller.js';
import { WhepService } from './whep-service.js';

@Module({
  imports: [RoutingModule, SessionsModule],
  controllers: [WhepController],
  providers: [
    {
      provide: WhepService,
      useFactory: (
        { tokenSecret, viewerLimit }: SignalingConfig,
        timings: Timings,
        logger: Logger,
        tracer: Tracer,
        mailbox: string,
        registry: SessionRegistry,
        sessions: SessionService,
        demos: DemoSessions,
        router: SessionRouter,
        inbox: Inbox,
        turn: TurnCredentials,
        metrics: SignalingMetrics,
      ) =>
        new WhepService(
          { registry, sessions, demos, router, inbox, turn, metrics, logger, tracer },
          { tokenSecret, viewerLimit, mailbox, answerMs: timings.whepAnswerMs },
        ),
      inject: [
        CONFIG,
        TIMINGS_TOKEN,
        LOGGER,
        TRACER,
        MAILBOX_ADDRESS,
        SessionRegistry,
        SessionService,
        DemoSessions,
        SessionRouter,
        Inbox,
        TurnCredentials,
        SignalingMetrics,
      ],
    },
  ],
  exports: [WhepService],
})
export class WhepModule {}
