import type { Sender } from '@humancast/protocol';
import { type Logger, type SenderRecord, SenderRegistry } from '@humancast/shared';
import { LOGGER } from '@humancast/shared/nest';
import { Controller, Get, Headers, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { Access } from '../auth/access.js';
import { Fleet } from './fleet.js';

/** Lists media-senders and drains them, for operators. */
@Controller('v1/senders')
export class SendersController {
  constructor(
    @Inject(Access) private readonly access: Access,
    @Inject(SenderRegistry) private readonly senders: SenderRegistry,
    @Inject(Fleet) private readonly fleet: Fleet,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<{ senders: Sender[] }> {
    this.access.requireKey(await this.access.callerOf(authorization), 'operate');
    const senders = await this.senders.list();
    return { senders: senders.flatMap(({ record }) => (record ? [senderView(record)] : [])) };
  }

  @Post(':id/drain')
  @HttpCode(202)
  async drain(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<{ id: string; draining: true }> {
    const key = this.access.requireKey(await this.access.callerOf(authorization), 'operate');
    await this.fleet.drain(id);
    this.logger.info({ sender: id, key: key.name }, 'draining media-sender');
    return { id, draining: true };
  }
}

/** Omits the mailbox, which is internal. */
function senderView({ mailbox: _mailbox, ...rest }: SenderRecord): Sender {
  return rest;
}
