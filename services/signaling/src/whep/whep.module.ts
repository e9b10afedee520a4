import { type Logger, SessionRegistry, type SignalingConfig, type Tracer } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { DemoSessions } from '../demo/demo-sessions.js';
import { Hosting } from '../hosting/hosting.js';
import { HostingModule } from '../hosting/hosting.module.js';
import { Inbox } from '../hosting/inbox.js';
import { SignalingMetrics } from '../metrics.js';
import { SessionService } from '../sessions/session-service.js';
import { SessionsModule } from '../sessions/sessions.module.js';
import type { Timings } from '../timings.js';
import { CONFIG, LOGGER, MAILBOX_ADDRESS, TIMINGS_TOKEN, TRACER } from '../tokens.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { WhepController } from './whep.controller.js';
import { WhepService } from './whep-service.js';

@Module({
  imports: [HostingModule, SessionsModule],
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
        hosting: Hosting,
        inbox: Inbox,
        turn: TurnCredentials,
        metrics: SignalingMetrics,
      ) =>
        new WhepService(
          { registry, sessions, demos, hosting, inbox, turn, metrics, logger, tracer },
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
        Hosting,
        Inbox,
        TurnCredentials,
        SignalingMetrics,
      ],
    },
  ],
  exports: [WhepService],
})
export class WhepModule {}
