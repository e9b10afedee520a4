import type { IncomingMessage, ServerResponse } from 'node:http';
import { slugSchema, whepQuerySchema } from '@humancast/protocol';
import { HumancastError, newId, parseRequest, type SignalingConfig } from '@humancast/shared';
import { CONFIG } from '@humancast/shared/nest';
import {
  All,
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  HttpCode,
  Inject,
  Options,
  Param,
  Patch,
  Post,
  Query,
  Req,
  Res,
} from '@nestjs/common';
import { Access, type Caller, callersTrace, keyOf } from '../auth/access.js';
import { mediaTypeOf } from '../http/json-body.js';
import { Limits } from '../limits/limits.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { TurnUsers } from '../turn/turn-users.js';
import { iceLinks } from './ice-links.js';
import { WhepService } from './whep-service.js';

const SDP = 'application/sdp';
const SDP_FRAGMENT = 'application/trickle-ice-sdpfrag';

@Controller('whep')
export class WhepController {
  constructor(
    @Inject(CONFIG) private readonly config: SignalingConfig,
    @Inject(Access) private readonly access: Access,
    @Inject(Limits) private readonly limits: Limits,
    @Inject(TurnCredentials) private readonly turn: TurnCredentials,
    @Inject(TurnUsers) private readonly turnUsers: TurnUsers,
    @Inject(WhepService) private readonly whep: WhepService,
  ) {}

  @Post(':avatar')
  async watch(
    @Param('avatar') avatarParam: string,
    @Query() query: unknown,
    @Req() request: IncomingMessage,
    @Body() body: unknown,
    @Res() response: ServerResponse,
  ): Promise<void> {
    const { session } = parseRequest(whepQuerySchema, query);
    const caller = await this.#admit(request, session);
    response.setHeader('accept-post', SDP);
    const offer = textBody(request, body, SDP);
    const avatar = parseRequest(slugSchema, avatarParam);
    this.#countTurnUser(request, caller);
    const hangUp = new AbortController();
    response.once('close', () => hangUp.abort());
    const demo = caller.kind !== 'producer';
    if (!demo) caller.key.requireAvatar(avatar);
    const { network } = this.limits.counted(request);
    const key = keyOf(caller);
    const traceparent = callersTrace(caller, request.headers);
    const watch = { avatar, session, demo, key, network, offer, traceparent, signal: hangUp.signal };
    const answer = await this.whep.watch(watch);
    setLinks(response, iceLinks(answer.iceServers));
    // Written directly: Express would add a charset, which some players do not recognize.
    response.writeHead(201, {
      'content-type': SDP,
      // Relative to the request (RFC 9110 §10.2.2), so that it also works behind a proxy that adds a path prefix.
      location: `resource/${answer.resource}`,
      etag: answer.etag,
      'accept-patch': SDP_FRAGMENT,
      'cache-control': 'no-store',
    });
    response.end(answer.sdp);
  }

  /** "A 2XX response with no content" (draft-ietf-wish-whep §4.1). */
  @Get(':avatar')
  @HttpCode(204)
  probe(): void {}

  @Options(':avatar')
  @HttpCode(200)
  async options(
    @Query() query: unknown,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<void> {
    response.setHeader('accept-post', SDP);
    response.setHeader('allow', 'GET, POST, OPTIONS');
    // Players that gather candidates before the offer need TURN credentials now; only callers that may watch get them.
    const { session } = parseRequest(whepQuerySchema, query);
    if (request.headers.authorization === undefined && !this.config.publicDemo) return;
    this.#countTurnUser(request, await this.#admit(request, session));
    setLinks(response, iceLinks(this.turn.issue(newId('turn'))));
  }

  @All(':avatar')
  rejectMethod(): never {
    throw new HumancastError('method_not_allowed');
  }

  @Patch('resource/:id')
  async patch(
    @Param('id') id: string,
    @Headers('if-match') ifMatch: string | undefined,
    @Req() request: IncomingMessage,
    @Body() body: unknown,
    @Res() response: ServerResponse,
  ): Promise<void> {
    response.setHeader('accept-patch', SDP_FRAGMENT);
    const { iceServers, restarted } = await this.whep.patch(id, ifMatch, textBody(request, body, SDP_FRAGMENT));
    setLinks(response, iceLinks(iceServers));
    if (restarted)
      response.writeHead(200, { 'content-type': SDP_FRAGMENT, etag: restarted.etag, 'cache-control': 'no-store' });
    else response.writeHead(204);
    response.end(restarted?.fragment);
  }

  @Delete('resource/:id')
  @HttpCode(200)
  async stop(@Param('id') id: string): Promise<void> {
    await this.whep.stop(id);
  }

  @Get('resource/:id')
  @HttpCode(204)
  async check(@Param('id') id: string): Promise<void> {
    await this.whep.check(id);
  }

  @Options('resource/:id')
  @HttpCode(200)
  resourceOptions(@Res({ passthrough: true }) response: ServerResponse): void {
    response.setHeader('accept-patch', SDP_FRAGMENT);
    response.setHeader('allow', 'GET, PATCH, DELETE, OPTIONS');
  }

  @All('resource/:id')
  rejectResourceMethod(): never {
    throw new HumancastError('method_not_allowed');
  }

  /** Requires a key, a token of the session to watch, or public demos. Callers without a key are counted. */
  async #admit(request: IncomingMessage, session: string | undefined): Promise<Caller> {
    const caller = await this.access.callerOf(request.headers.authorization);
    if (session !== undefined) await this.access.requireSession(caller, session, 'read');
    else this.access.requireKeyOrDemo(caller, 'sessions');
    if (caller.kind !== 'producer') this.limits.requireConnect(request);
    return caller;
  }

  #countTurnUser(request: IncomingMessage, caller: Caller): void {
    const session = caller.kind === 'guest' ? caller.claims.sid : undefined;
    this.turnUsers.admit(this.limits.counted(request), session);
  }
}

function textBody(request: IncomingMessage, body: unknown, type: string): string {
  if (mediaTypeOf(request.headers['content-type']) !== type) {
    throw new HumancastError('unsupported_media_type', `the body must be ${type}`);
  }
  return typeof body === 'string' ? body : '';
}

function setLinks(response: ServerResponse, links: string[]): void {
  if (links.length > 0) response.setHeader('link', links);
}
