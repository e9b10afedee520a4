import type { IncomingMessage, ServerResponse } from 'node:http';
import { idSchema, newId, type SignalingConfig, samplesToMs, slugSchema, type TokenClaims } from '@humancast/shared';
import { Body, Controller, Delete, Get, Headers, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import { z } from 'zod';
import { Access, type Caller, callersTrace } from '../access/access.js';
import { DemoSessions } from '../demo/demo-sessions.js';
import { jsonBody } from '../http/json-body.js';
import { Limits } from '../limits/limits.js';
import { SayRelay } from '../say/say-relay.js';
import { CONFIG } from '../tokens.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { TurnUsers } from '../turn/turn-users.js';
import { SessionService } from './session-service.js';
import { guestView, SessionViews } from './session-view.js';

const createSchema = z.strictObject({
  avatar: slugSchema,
  /** While every media-sender is full: wait for a place (viewers are told their position), or be refused. */
  wait: z.boolean().default(true),
});
const speakSchema = z.strictObject({
  segments: z.array(idSchema).min(1).max(100),
  interrupt: z.boolean().default(false),
});

@Controller('v1/sessions')
export class SessionsController {
  readonly #config: SignalingConfig;
  readonly #access: Access;
  readonly #limits: Limits;
  readonly #demos: DemoSessions;
  readonly #sessions: SessionService;
  readonly #views: SessionViews;
  readonly #turn: TurnCredentials;
  readonly #turnUsers: TurnUsers;
  readonly #say: SayRelay;

  constructor(
    @Inject(CONFIG) config: SignalingConfig,
    @Inject(Access) access: Access,
    @Inject(Limits) limits: Limits,
    @Inject(DemoSessions) demos: DemoSessions,
    @Inject(SessionService) sessions: SessionService,
    @Inject(SessionViews) views: SessionViews,
    @Inject(TurnCredentials) turn: TurnCredentials,
    @Inject(TurnUsers) turnUsers: TurnUsers,
    @Inject(SayRelay) say: SayRelay,
  ) {
    this.#config = config;
    this.#access = access;
    this.#limits = limits;
    this.#demos = demos;
    this.#sessions = sessions;
    this.#views = views;
    this.#turn = turn;
    this.#turnUsers = turnUsers;
    this.#say = say;
  }

  @Post()
  async create(
    @Req() request: IncomingMessage,
    @Body() body: unknown,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<unknown> {
    const caller = await this.#access.callerOf(request.headers.authorization);
    this.#access.requireProducerOrDemo(caller);
    const demo = caller.kind !== 'producer';
    const { avatar, wait } = jsonBody(request, body, createSchema);
    if (demo) this.#limits.requireConnect(request);
    const counted = this.#limits.counted(request);
    this.#turnUsers.admit(counted);
    const create = () => this.#sessions.create(avatar, { demo, wait });
    const session = await (demo ? this.#demos.make(counted.network, create) : create());
    response.setHeader('location', `/v1/sessions/${session.id}`);
    response.setHeader('cache-control', 'no-store');
    return {
      id: session.id,
      avatar: session.avatar,
      token: session.token,
      scope: session.scope,
      expiresAt: new Date(session.expiresAtMs).toISOString(),
      signalUrl: '/v1/signal',
      iceServers: this.#turn.issue(newId('turn'), session.id),
      relayOnly: this.#config.turnUrls.length > 0 && this.#config.relayOnly,
    };
  }

  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<unknown> {
    this.#access.requireProducer(await this.#access.callerOf(authorization));
    return { sessions: await this.#views.list() };
  }

  @Get(':id')
  async get(@Param('id') id: string, @Headers('authorization') authorization: string | undefined): Promise<unknown> {
    const caller = await this.#admit(id, authorization, 'view');
    const state = await this.#views.get(id);
    const shown = caller.kind === 'producer' ? state : guestView(state);
    return { ...shown, canSay: this.#say.canSay(state.avatar) };
  }

  @Delete(':id')
  @HttpCode(204)
  async end(@Param('id') id: string, @Headers('authorization') authorization: string | undefined): Promise<void> {
    await this.#admit(id, authorization, 'control');
    await this.#sessions.end(id, 'deleted');
  }

  @Post(':id/speak')
  @HttpCode(202)
  async speak(@Param('id') id: string, @Req() request: IncomingMessage, @Body() body: unknown): Promise<unknown> {
    const caller = await this.#admit(id, request.headers.authorization, 'control');
    const { segments, interrupt } = jsonBody(request, body, speakSchema);
    const traceparent = callersTrace(caller, request.headers);
    return { queued: await this.#sessions.speak(id, segments, { interrupt, traceparent }) };
  }

  @Post(':id/interrupt')
  @HttpCode(202)
  async interrupt(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<unknown> {
    const caller = await this.#admit(id, authorization, 'view');
    if (caller.kind !== 'producer') this.#limits.requireInterrupt(id);
    return { interruptedSeq: await this.#sessions.interrupt(id) };
  }

  @Get(':id/segments')
  async segments(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<unknown> {
    await this.#admit(id, authorization, 'view');
    const segments = await this.#sessions.segments(id);
    return {
      segments: segments.map(({ durationSamples, ...rest }) => ({ ...rest, durationMs: samplesToMs(durationSamples) })),
    };
  }

  async #admit(id: string, authorization: string | undefined, scope: TokenClaims['scope']): Promise<Caller> {
    const caller = await this.#access.callerOf(authorization);
    this.#access.requireSession(caller, id, scope);
    this.#limits.requireGuest(caller);
    return caller;
  }
}
