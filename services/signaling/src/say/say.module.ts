import { SessionRegistry, type SignalingConfig } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { CONFIG } from '../tokens.js';
import { SayController } from './say.controller.js';
import { SayRelay } from './say-relay.js';

/** Typed text, said by a demo producer. */
@Module({
  controllers: [SayController],
  providers: [
    {
      provide: SayRelay,
      useFactory: (registry: SessionRegistry, config: SignalingConfig) => new SayRelay(registry, config),
      inject: [SessionRegistry, CONFIG],
    },
  ],
  exports: [SayRelay],
})
export class SayModule {}
