import type { AvatarOverviewList } from '@humancast/protocol';
import { AvatarStore } from '@humancast/shared';
import { Controller, Get, Headers, Inject } from '@nestjs/common';
import { Access } from '../auth/access.js';

/** Lists the avatars that a caller may use. */
@Controller('v1/avatars')
export class AvatarsController {
  constructor(
    @Inject(Access) private readonly access: Access,
    @Inject(AvatarStore) private readonly avatars: AvatarStore,
  ) {}

  /** Lists avatars; API keys also see the problems of their folders. */
  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<AvatarOverviewList> {
    const caller = await this.access.callerOf(authorization);
    this.access.requireKeyOrDemo(caller);
    const avatars = (await this.avatars.list()).map(({ id, name }) => ({ id, name: name ?? id }));
    if (caller.kind !== 'producer') return { avatars };
    const found = await this.avatars.problems();
    const problemsOf = (id: string | undefined) => found.get(id) ?? { count: 0, problems: [] };
    return {
      avatars: avatars
        .filter(({ id }) => caller.key.allowsAvatar(id))
        .map((avatar) => {
          const { count, problems } = problemsOf(avatar.id);
          return { ...avatar, problemCount: count, problems };
        }),
      // Problems that belong to no avatar are for keys that may see all avatars.
      ...(caller.key.allowsAllAvatars && { problems: problemsOf(undefined).problems }),
    };
  }
}
