import type { Logger } from '@humancast/shared';
import { Controller, Headers, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { Access } from '../access/access.js';
import { LOGGER } from '../tokens.js';
import { Fleet } from './fleet.js';

/** What an operator can do with media-senders. */
@Controller('v1/senders')
export class SendersController {
  readonly #access: Access;
  readonly #fleet: Fleet;
  readonly #logger: Logger;

  constructor(@Inject(Access) access: Access, @Inject(Fleet) fleet: Fleet, @Inject(LOGGER) logger: Logger) {
    this.#access = access;
    this.#fleet = fleet;
    this.#logger = logger;
  }

  @Post(':id/drain')
  @HttpCode(202)
  async drain(@Param('id') id: string, @Headers('authorization') authorization: string | undefined): Promise<unknown> {
    const key = this.#access.requireKey(await this.#access.callerOf(authorization), 'operate');
    await this.#fleet.drain(id);
    this.#logger.info({ sender: id, key: key.name }, 'media-sender is drained');
    return { id, draining: true };
  }
}
