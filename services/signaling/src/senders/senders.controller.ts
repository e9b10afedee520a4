import type { Sender } from '@humancast/protocol';
import { type Logger, type SenderRecord, SenderRegistry } from '@humancast/shared';
import { Controller, Get, Headers, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { Access } from '../auth/access.js';
import { LOGGER } from '../tokens.js';
import { Fleet } from './fleet.js';

/** Lists media-senders and drains them, for operators. */
@Controller('v1/senders')
export class SendersController {
  readonly #access: Access;
  readonly #senders: SenderRegistry;
  readonly #fleet: Fleet;
  readonly #logger: Logger;

  constructor(
    @Inject(Access) access: Access,
    @Inject(SenderRegistry) senders: SenderRegistry,
    @Inject(Fleet) fleet: Fleet,
    @Inject(LOGGER) logger: Logger,
  ) {
    this.#access = access;
    this.#senders = senders;
    this.#fleet = fleet;
    this.#logger = logger;
  }

  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<{ senders: Sender[] }> {
    this.#access.requireKey(await this.#access.callerOf(authorization), 'operate');
    const senders = await this.#senders.list();
    return { senders: senders.flatMap(({ record }) => (record ? [senderView(record)] : [])) };
  }

  @Post(':id/drain')
  @HttpCode(202)
  async drain(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<{ id: string; draining: true }> {
    const key = this.#access.requireKey(await this.#access.callerOf(authorization), 'operate');
    await this.#fleet.drain(id);
    this.#logger.info({ sender: id, key: key.name }, 'draining media-sender');
    return { id, draining: true };
  }
}

/** Omits the mailbox, which is internal. */
function senderView({ mailbox: _mailbox, ...rest }: SenderRecord): Sender {
  return rest;
}
