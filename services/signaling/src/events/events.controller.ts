import type { ServerResponse } from 'node:http';
import { Controller, Get, Headers, Inject, Param, Query, Res } from '@nestjs/common';
import { z } from 'zod';
import { Access } from '../access/access.js';
import { EventStreams } from './event-streams.js';

/** `token` because an EventSource can't send headers. */
const querySchema = z.object({ token: z.string().max(1024).optional(), from: z.enum(['start', 'now']).default('now') });

@Controller('v1/sessions/:id/events')
export class EventsController {
  readonly #access: Access;
  readonly #streams: EventStreams;

  constructor(@Inject(Access) access: Access, @Inject(EventStreams) streams: EventStreams) {
    this.#access = access;
    this.#streams = streams;
  }

  @Get()
  async follow(
    @Param('id') id: string,
    @Query() query: unknown,
    @Headers('authorization') authorization: string | undefined,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const { token, from } = querySchema.parse(query);
    this.#access.requireSession(this.#access.callerOf(authorization, token), id, 'view');
    await this.#streams.serve(id, { lastEventId, fromStart: from === 'start' }, response);
  }
}
