import { SessionRegistry, type SignalingConfig, type Tracer } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { CONFIG, TRACER } from '../tokens.js';
import { SayController } from './say.controller.js';
import { SayRelay } from './say-relay.js';

/** Typed text, said by a demo producer. */
@Module({
  controllers: [SayController],
  providers: [
    {
      provide: SayRelay,
      useFactory: (registry: SessionRegistry, tracer: Tracer, config: SignalingConfig) =>
        new SayRelay(registry, tracer, config),
      inject: [SessionRegistry, TRACER, CONFIG],
    },
  ],
  exports: [SayRelay],
})
export class SayModule {}
