import type { IncomingMessage, ServerResponse } from 'node:http';
import { eventsQuerySchema } from '@humancast/protocol';
import { parseRequest } from '@humancast/shared';
import { Controller, Get, Headers, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { Access } from '../auth/access.js';
import { Limits } from '../limits/limits.js';
import { EventStreams } from './event-streams.js';

@Controller('v1/sessions/:id/events')
export class EventsController {
  constructor(
    @Inject(Access) private readonly access: Access,
    @Inject(Limits) private readonly limits: Limits,
    @Inject(EventStreams) private readonly streams: EventStreams,
  ) {}

  @Get()
  async follow(
    @Param('id') id: string,
    @Query() query: unknown,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Req() request: IncomingMessage,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const { token, from } = parseRequest(eventsQuerySchema, query);
    const caller = await this.access.callerOf(request.headers.authorization, token);
    await this.access.requireSession(caller, id, 'read');
    this.limits.requireGuest(caller);
    const start = { lastEventId, fromStart: from === 'start', withMessages: caller.kind === 'producer' };
    await this.streams.serve(id, start, this.limits.counted(request), response);
  }
}
