import { AvatarStore } from '@humancast/shared';
import { Controller, Get, Headers, Inject } from '@nestjs/common';
import { Access } from '../auth/access.js';

/** Lists the avatars that a caller may use. */
@Controller('v1/avatars')
export class AvatarsController {
  readonly #access: Access;
  readonly #avatars: AvatarStore;

  constructor(@Inject(Access) access: Access, @Inject(AvatarStore) avatars: AvatarStore) {
    this.#access = access;
    this.#avatars = avatars;
  }

  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<unknown> {
    const caller = await this.#access.callerOf(authorization);
    this.#access.requireKeyOrDemo(caller);
    const allows = (id: string) => caller.kind !== 'producer' || caller.key.allowsAvatar(id);
    const avatars = (await this.#avatars.list()).filter(({ id }) => allows(id));
    return { avatars: avatars.map(({ id, name }) => ({ id, name: name ?? id })) };
  }
}
