import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type AcceptedUpload,
  type Avatar,
  changeSegmentSchema,
  idSchema,
  type LoadingSegment,
  type Segment,
  type SegmentListEntry,
  segmentListQuerySchema,
  uploadQuerySchema,
} from '@humancast/protocol';
import {
  type ApiKey,
  AvatarStore,
  bearerOf,
  commandOf,
  HumancastError,
  type LoaderConfig,
  type Logger,
  parseRequest,
  RedisMediaStore,
  type SegmentManifest,
} from '@humancast/shared';
import { CONFIG, LOGGER } from '@humancast/shared/nest';
import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  Patch,
  Post,
  Query,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import { Library } from '../library/library.js';
import { Deletion } from '../retention/deletion.js';
import { SegmentArchive } from '../retention/segment-archive.js';
import { UploadCommands } from '../upload/upload-commands.js';
import { retentionOf, Uploads } from '../upload/uploads.js';
import { ApiKeyGuard, ShownKey } from './api-key.guard.js';
import { libraryLoadView, segmentView, summaryView, uploadView } from './segment-view.js';

@Controller('v1/segments')
@UseGuards(ApiKeyGuard)
export class SegmentsController {
  constructor(
    @Inject(CONFIG) private readonly config: LoaderConfig,
    @Inject(SegmentArchive) private readonly archive: SegmentArchive,
    @Inject(AvatarStore) private readonly avatars: AvatarStore,
    @Inject(RedisMediaStore) private readonly store: RedisMediaStore,
    @Inject(Library) private readonly library: Library,
    @Inject(Uploads) private readonly uploads: Uploads,
    @Inject(UploadCommands) private readonly commands: UploadCommands,
    @Inject(Deletion) private readonly deletion: Deletion,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {}

  /** Answers 201 with the segment once it can be played, or, with `wait=false`, 202 once it has been received. */
  @Post()
  async upload(
    @Query() query: unknown,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
    @ShownKey() key: ApiKey,
  ): Promise<Segment | AcceptedUpload> {
    key.require('media');
    const { avatar: avatarId, name, wait, pinned, loudness } = parseRequest(uploadQuerySchema, query);
    key.requireAvatar(avatarId);
    const avatar = await this.#findAvatar(avatarId);
    const disconnected = new AbortController();
    const giveUp = () => {
      if (!response.writableEnded)
        disconnected.abort(new HumancastError('upload_incomplete', 'the client has disconnected'));
    };
    response.once('close', giveUp);
    const onReady = () => {
      if (request.headers.expect !== undefined) response.writeContinue();
    };
    const isPinned = pinned === 'true';
    const length = request.headers['content-length'];
    const content = { avatar: avatarId, name, pinned, length, ...(loudness !== undefined && { loudness }) };
    const command = commandOf(request.headers, content, this.config.idempotencyTtlSeconds);
    const keyed = command && (await this.commands.begin(command, bearerOf(request.headers.authorization) ?? ''));
    if (keyed) {
      // A repeated request, during the load or after it.
      await this.uploads.settled(keyed.id);
      const known = await this.store.getManifest(keyed.id);
      if (known?.state === 'complete') return answer(response, wait === 'true' ? 201 : 202, known, isPinned);
      if (keyed.isDone) throw notFound(keyed.id);
    }
    const options = { id: keyed?.id, name, pinned: isPinned, owner: key.name, loudness };
    const { id, loaded } = await this.uploads.accept(request, avatar, options, disconnected.signal, onReady);
    this.logger.info({ segment: id, avatar: avatarId, key: key.name }, 'upload received');
    const done = command ? loaded.then(() => this.commands.done(id, command)) : loaded;
    done.catch(() => {});
    if (wait === 'false') {
      response.off('close', giveUp);
      // A relative URL is also correct under a path prefix.
      response.setHeader('location', `segments/${id}`);
      response.statusCode = 202;
      return { id, avatar: avatarId, state: 'open', progress: 0 };
    }
    const manifest = await loaded;
    await done;
    return answer(response, 201, manifest, isPinned);
  }

  @Get()
  async list(@Query() query: unknown, @ShownKey() key: ApiKey): Promise<{ segments: SegmentListEntry[] }> {
    const { avatar, q } = parseRequest(segmentListQuerySchema, query);
    if (avatar !== undefined) key.requireAvatar(avatar);
    const all = avatar === undefined ? await this.avatars.list() : [await this.#findAvatar(avatar)];
    const avatars = all.filter(({ id }) => key.allowsAvatar(id));
    const lists = await Promise.all(avatars.map(({ id }) => this.store.list(id)));
    const part = q?.toLowerCase() ?? '';
    const found = lists.flat().filter((segment) => segment.name.toLowerCase().includes(part));
    return { segments: found.map(summaryView) };
  }

  @Get(':id')
  async get(@Param('id') id: string, @ShownKey() key: ApiKey): Promise<Segment | LoadingSegment> {
    const upload = this.uploads.stateOf(id);
    if (upload && key.allowsAvatar(upload.avatar)) return uploadView(upload);
    const manifest = idSchema.safeParse(id).success ? await this.store.getManifest(id) : undefined;
    if (manifest && key.allowsAvatar(manifest.avatar))
      return segmentView(manifest, (await this.store.usage(id))?.retention.pinned ?? false);
    const load = this.library.loadOf(id);
    if (load && key.allowsAvatar(load.avatar)) return libraryLoadView(load);
    throw notFound(id);
  }

  /** Pins a segment, or gives it back its time to live. @throws HumancastError `managed_by_folder`. */
  @Patch(':id')
  async change(@Param('id') id: string, @Body() body: unknown, @ShownKey() key: ApiKey): Promise<Segment> {
    key.require('media');
    const { pinned } = parseRequest(changeSegmentSchema, body);
    const manifest = await this.#findOwn(id, key);
    const retention = retentionOf(pinned, this.config);
    if (!(await this.store.retain(id, retention))) throw notFound(id);
    await this.archive.keep(manifest, retention);
    this.logger.info({ segment: id, pinned, key: key.name }, 'segment changed');
    return segmentView(manifest, pinned);
  }

  /**
   * Deletes a segment permanently: sessions that play it or have it queued drop it (`speech.finished` with the cause
   * `segment_deleted`). A key with the scope `speak` may delete what it has pushed itself.
   * @throws HumancastError `managed_by_folder` for a library segment, whose file would bring it back.
   */
  @Delete(':id')
  @HttpCode(204)
  async delete(@Param('id') id: string, @ShownKey() key: ApiKey): Promise<void> {
    key.require('media', 'speak');
    const upload = this.uploads.stateOf(id);
    if (upload && !key.allowsAvatar(upload.avatar)) throw notFound(id);
    const { avatar, owner } = upload ?? (await this.#findToDelete(id, key));
    if (owner !== key.name) key.require('media');
    this.logger.info({ segment: id, avatar, key: key.name }, 'deleting segment');
    await this.deletion.segment(id, avatar);
  }

  /** Also finds a segment that redis-media has lost and the archive would restore. */
  async #findToDelete(id: string, key: ApiKey): Promise<Pick<SegmentManifest, 'avatar' | 'owner'>> {
    const isLost = idSchema.safeParse(id).success && (await this.store.getManifest(id)) === undefined;
    const archived = isLost ? await this.archive.about(id) : undefined;
    return archived && key.allowsAvatar(archived.avatar) ? archived : this.#findOwn(id, key);
  }

  /** @throws HumancastError `segment_not_found`; `managed_by_folder` for a library segment whose folder still exists. */
  async #findOwn(id: string, key: ApiKey): Promise<SegmentManifest> {
    const manifest = idSchema.safeParse(id).success ? await this.store.getManifest(id) : undefined;
    if (!manifest || !key.allowsAvatar(manifest.avatar)) throw notFound(id);
    if (manifest.source === 'library' && this.library.hasFolder(manifest.avatar)) {
      throw new HumancastError('managed_by_folder', `change the file "${manifest.name}" in the media folder instead`);
    }
    return manifest;
  }

  async #findAvatar(id: string): Promise<Avatar> {
    const avatar = await this.avatars.get(id);
    if (!avatar)
      throw new HumancastError('avatar_not_found', `there is no avatar "${id}"; define it with PUT /v1/avatars/${id}`);
    return avatar;
  }
}

function answer(response: ServerResponse, status: 201 | 202, manifest: SegmentManifest, pinned: boolean): Segment {
  response.setHeader('location', `segments/${manifest.id}`);
  response.statusCode = status;
  return segmentView(manifest, pinned);
}

function notFound(id: string): HumancastError {
  return new HumancastError('segment_not_found', `there is no segment "${id.slice(0, 64)}"`);
}
