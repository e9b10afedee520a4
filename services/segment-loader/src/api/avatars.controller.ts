import {
  type Avatar,
  type AvatarDetails,
  type AvatarList,
  type AvatarSummary,
  avatarDefinitionSchema,
  slugSchema,
} from '@humancast/protocol';
import {
  type ApiKey,
  AvatarStore,
  HumancastError,
  type Logger,
  parseRequest,
  parseStrictRequest,
  RedisMediaStore,
} from '@humancast/shared';
import { LOGGER } from '@humancast/shared/nest';
import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Put, UseGuards } from '@nestjs/common';
import { Library } from '../library/library.js';
import { Deletion } from '../retention/deletion.js';
import { Uploads } from '../upload/uploads.js';
import { ApiKeyGuard, ShownKey } from './api-key.guard.js';
import { libraryLoadView, uploadView } from './segment-view.js';

@Controller('v1/avatars')
@UseGuards(ApiKeyGuard)
export class AvatarsController {
  constructor(
    @Inject(AvatarStore) private readonly avatars: AvatarStore,
    @Inject(RedisMediaStore) private readonly store: RedisMediaStore,
    @Inject(Library) private readonly library: Library,
    @Inject(Uploads) private readonly uploads: Uploads,
    @Inject(Deletion) private readonly deletion: Deletion,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  @Get()
  async list(@ShownKey() key: ApiKey): Promise<AvatarList> {
    const avatars = (await this.avatars.list()).filter(({ id }) => key.allowsAvatar(id));
    return {
      avatars: await Promise.all(avatars.map((avatar) => this.#summary(avatar))),
      // Problems outside any avatar's folder are for keys that may see all avatars.
      ...(key.allowsAllAvatars && { problems: this.library.strayProblems }),
    };
  }

  @Get(':id')
  async get(@Param('id') id: string, @ShownKey() key: ApiKey): Promise<AvatarDetails> {
    key.requireAvatar(id);
    const avatar = await this.#find(id);
    return {
      ...(await this.#summary(avatar)),
      idlePlaylist: await this.store.getIdlePlaylist(id),
      idleStates: await this.store.getIdleStates(id),
      loading: [...this.library.loads(id).map(libraryLoadView), ...this.uploads.open(id).map(uploadView)],
      problems: this.library.problems(id),
    };
  }

  /** Defines or redefines an avatar; library segments whose encoding changes are encoded again. */
  @Put(':id')
  async put(@Param('id') id: string, @Body() body: unknown, @ShownKey() key: ApiKey): Promise<AvatarSummary> {
    key.require('media');
    key.requireAvatar(id);
    const avatar = { ...parseStrictRequest(avatarDefinitionSchema, body), id: parseRequest(slugSchema, id) };
    await this.deletion.settle(avatar.id);
    await this.avatars.put(avatar);
    this.logger.info({ avatar: avatar.id, key: key.name }, 'avatar defined');
    this.library.poke();
    return this.#summary(avatar);
  }

  /**
   * Deletes an avatar permanently with all of its segments, and ends its sessions (`avatar-deleted`).
   * @throws HumancastError `managed_by_folder` while the watched folder has a folder for it, which would define it again.
   */
  @Delete(':id')
  @HttpCode(204)
  async delete(@Param('id') id: string, @ShownKey() key: ApiKey): Promise<void> {
    key.require('media');
    key.requireAvatar(id);
    if (this.library.hasFolder(id)) {
      throw new HumancastError('managed_by_folder', `remove the folder "${id}" from the media folder instead`);
    }
    await this.#find(id);
    this.logger.info({ avatar: id, key: key.name }, 'deleting avatar');
    await this.deletion.avatar(id);
  }

  async #find(id: string): Promise<Avatar> {
    const avatar = await this.avatars.get(id);
    if (!avatar) throw new HumancastError('avatar_not_found', `there is no avatar "${id.slice(0, 64)}"`);
    return avatar;
  }

  async #summary(avatar: Avatar): Promise<AvatarSummary> {
    const segments = await this.store.list(avatar.id);
    const idle = segments.filter((segment) => segment.role === 'idle').length;
    return {
      ...avatar,
      name: avatar.name ?? avatar.id,
      idle,
      segments: segments.length - idle,
      problemCount: this.library.problems(avatar.id).length,
    };
  }
}
