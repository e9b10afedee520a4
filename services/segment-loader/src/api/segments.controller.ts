import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Avatar, AvatarStore, HumancastError, idSchema, RedisMediaStore, slugSchema } from '@humancast/shared';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { Library } from '../library/library.js';
import { Uploads } from '../upload/uploads.js';
import { ApiKeyGuard } from './api-key.guard.js';
import { libraryLoadView, segmentView, summaryView, uploadView } from './segment-view.js';

const uploadQuerySchema = z.object({
  avatar: slugSchema,
  name: z.string().min(1).max(255).optional(),
  /** Whether to answer when the segment can be played, or as soon as it has been received. */
  wait: z.enum(['true', 'false']).default('true'),
});

const listQuerySchema = z.object({
  avatar: slugSchema.optional(),
  /** Part of the name, in any case. */
  q: z.string().max(255).optional(),
});

@Controller('v1/segments')
@UseGuards(ApiKeyGuard)
export class SegmentsController {
  readonly #avatars: AvatarStore;
  readonly #store: RedisMediaStore;
  readonly #library: Library;
  readonly #uploads: Uploads;

  constructor(
    @Inject(AvatarStore) avatars: AvatarStore,
    @Inject(RedisMediaStore) store: RedisMediaStore,
    @Inject(Library) library: Library,
    @Inject(Uploads) uploads: Uploads,
  ) {
    this.#avatars = avatars;
    this.#store = store;
    this.#library = library;
    this.#uploads = uploads;
  }

  /** 201 with the segment once it can be played; with `wait=false` 202 as soon as it has been received. */
  @Post()
  async upload(
    @Query() query: unknown,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const { avatar: avatarId, name, wait } = uploadQuerySchema.parse(query);
    const avatar = await this.#findAvatar(avatarId);
    const gone = new AbortController();
    const giveUp = () => {
      if (!response.writableEnded) gone.abort(new HumancastError('upload_incomplete', 'the caller has gone'));
    };
    response.once('close', giveUp);
    const onReady = () => {
      if (request.headers.expect !== undefined) response.writeContinue();
    };
    const { id, loaded } = await this.#uploads.accept(request, avatar, name, gone.signal, onReady);
    response.setHeader('location', `/v1/segments/${id}`);
    if (wait === 'false') {
      response.off('close', giveUp);
      response.statusCode = 202;
      return { id, avatar: avatarId, state: 'open', progress: 0 };
    }
    const manifest = await loaded;
    response.statusCode = 201;
    return segmentView(manifest);
  }

  @Get()
  async list(@Query() query: unknown): Promise<unknown> {
    const { avatar, q } = listQuerySchema.parse(query);
    const avatars = avatar === undefined ? await this.#avatars.list() : [await this.#findAvatar(avatar)];
    const lists = await Promise.all(avatars.map(({ id }) => this.#store.list(id)));
    const part = q?.toLowerCase() ?? '';
    const found = lists.flat().filter((segment) => segment.name.toLowerCase().includes(part));
    return { segments: found.map(summaryView) };
  }

  @Get(':id')
  async get(@Param('id') id: string): Promise<unknown> {
    const upload = this.#uploads.stateOf(id);
    if (upload) return uploadView(upload);
    const manifest = idSchema.safeParse(id).success ? await this.#store.getManifest(id) : undefined;
    if (manifest) return segmentView(manifest);
    const load = this.#library.loadOf(id);
    if (load) return libraryLoadView(load);
    throw notFound(id);
  }

  /** @throws HumancastError `managed_by_folder` for a library segment, whose file would bring it back. */
  @Delete(':id')
  @HttpCode(204)
  async delete(@Param('id') id: string): Promise<void> {
    if (this.#uploads.remove(id)) return;
    const manifest = idSchema.safeParse(id).success ? await this.#store.getManifest(id) : undefined;
    if (!manifest) throw notFound(id);
    if (manifest.source === 'library' && this.#library.hasFolder(manifest.avatar)) {
      throw new HumancastError('managed_by_folder', `remove the file "${manifest.name}" from the media folder instead`);
    }
    await this.#store.delete(id);
  }

  async #findAvatar(id: string): Promise<Avatar> {
    const avatar = await this.#avatars.get(id);
    if (!avatar)
      throw new HumancastError('avatar_not_found', `there is no avatar "${id}"; define it with PUT /v1/avatars/${id}`);
    return avatar;
  }
}

function notFound(id: string): HumancastError {
  return new HumancastError('segment_not_found', `there is no segment "${id.slice(0, 64)}"`);
}
