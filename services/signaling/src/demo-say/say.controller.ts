import type { IncomingMessage } from 'node:http';
import { type Said, saySchema } from '@humancast/protocol';
import { commandOf } from '@humancast/shared';
import { Body, Controller, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { Access, callersTrace } from '../auth/access.js';
import { jsonBody } from '../http/json-body.js';
import { Limits } from '../limits/limits.js';
import { SayRelay } from './say-relay.js';

@Controller('v1/sessions/:id/say')
export class SayController {
  constructor(
    @Inject(Access) private readonly access: Access,
    @Inject(Limits) private readonly limits: Limits,
    @Inject(SayRelay) private readonly relay: SayRelay,
  ) {}

  @Post()
  @HttpCode(202)
  async say(@Param('id') id: string, @Req() request: IncomingMessage, @Body() body: unknown): Promise<Said> {
    const caller = await this.access.callerOf(request.headers.authorization);
    await this.access.requireSession(caller, id, 'speak');
    this.limits.requireGuest(caller);
    const words = jsonBody(request, body, saySchema);
    // Only validated here; the demo producer stores it.
    const key = commandOf(request.headers, words, 0)?.key;
    return this.relay.say(id, words, { traceparent: callersTrace(caller, request.headers), idempotencyKey: key });
  }
}
