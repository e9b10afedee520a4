import type { IncomingMessage, ServerResponse } from 'node:http';
import { posterQuerySchema, slugSchema } from '@humancast/protocol';
import { AvatarStore, HumancastError, parseRequest, SessionRegistry } from '@humancast/shared';
import { Controller, Get, Inject, Param, Query, Req, Res } from '@nestjs/common';
import { Access } from '../auth/access.js';
import { type Poster, Posters } from './posters.js';

/** A page shows an old poster for at most this long after the idle clips have changed. */
const CACHE = 'private, max-age=60, stale-while-revalidate=86400';

/** Serves the image that a page shows until video plays, to whoever may watch. */
@Controller('v1')
export class PostersController {
  constructor(
    @Inject(Access) private readonly access: Access,
    @Inject(AvatarStore) private readonly avatars: AvatarStore,
    @Inject(SessionRegistry) private readonly registry: SessionRegistry,
    @Inject(Posters) private readonly posters: Posters,
  ) {}

  @Get('sessions/:id/poster')
  async ofSession(
    @Param('id') id: string,
    @Query() query: unknown,
    @Req() request: IncomingMessage,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const { token } = parseRequest(posterQuerySchema, query);
    const caller = await this.access.callerOf(request.headers.authorization, token);
    await this.access.requireSession(caller, id, 'read');
    const { avatar } = await this.registry.belonging(id);
    send(await this.posters.of(avatar), request, response);
  }

  @Get('avatars/:id/poster')
  async ofAvatar(
    @Param('id') id: string,
    @Req() request: IncomingMessage,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const caller = await this.access.callerOf(request.headers.authorization);
    this.access.requireKeyOrDemo(caller);
    const avatar = parseRequest(slugSchema, id);
    if (caller.kind === 'producer') caller.key.requireAvatar(avatar);
    if (!(await this.avatars.ids()).includes(avatar)) throw new HumancastError('avatar_not_found');
    send(await this.posters.of(avatar), request, response);
  }
}

function send({ tag, image }: Poster, { headers }: IncomingMessage, response: ServerResponse): void {
  const etag = `"${tag}"`;
  response.setHeader('etag', etag).setHeader('cache-control', CACHE);
  // Pages of other origins show it in an <img>.
  response.setHeader('cross-origin-resource-policy', 'cross-origin');
  if (headers['if-none-match'] === etag) response.writeHead(304).end();
  else response.writeHead(200, { 'content-type': 'image/webp', 'content-length': image.length }).end(image);
}
