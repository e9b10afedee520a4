import { AvatarStore, SenderRegistry } from '@humancast/shared';
import { Controller, Get, Headers, Inject } from '@nestjs/common';
import { Access } from '../access/access.js';

/** What there is besides sessions: avatars to choose from, and media-senders at work. */
@Controller('v1')
export class CatalogueController {
  readonly #access: Access;
  readonly #avatars: AvatarStore;
  readonly #senders: SenderRegistry;

  constructor(
    @Inject(Access) access: Access,
    @Inject(AvatarStore) avatars: AvatarStore,
    @Inject(SenderRegistry) senders: SenderRegistry,
  ) {
    this.#access = access;
    this.#avatars = avatars;
    this.#senders = senders;
  }

  @Get('avatars')
  async avatars(@Headers('authorization') authorization: string | undefined): Promise<unknown> {
    const caller = await this.#access.callerOf(authorization);
    this.#access.requireKeyOrDemo(caller);
    const allows = (id: string) => caller.kind !== 'producer' || caller.key.allowsAvatar(id);
    const avatars = (await this.#avatars.list()).filter(({ id }) => allows(id));
    return { avatars: avatars.map(({ id, name }) => ({ id, name: name ?? id })) };
  }

  @Get('senders')
  async senders(@Headers('authorization') authorization: string | undefined): Promise<unknown> {
    this.#access.requireKey(await this.#access.callerOf(authorization), 'operate');
    const senders = await this.#senders.list();
    return { senders: senders.flatMap(({ record }) => (record ? [record] : [])) };
  }
}
