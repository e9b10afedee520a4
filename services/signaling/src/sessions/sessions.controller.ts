import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createSessionSchema,
  type Interrupted,
  idleStateSchema,
  interruptSchema,
  messageSchema,
  type NewSession,
  type SessionDetails,
  type SessionSegment,
  type SessionSummary,
  type ShownState,
  type Spoken,
  speakSchema,
} from '@humancast/protocol';
import {
  type Command,
  commandOf,
  newId,
  type SegmentSummary,
  type SignalingConfig,
  samplesToMs,
} from '@humancast/shared';
import { CONFIG } from '@humancast/shared/nest';
import { Body, Controller, Delete, Get, Headers, HttpCode, Inject, Param, Post, Put, Req, Res } from '@nestjs/common';
import { Access, type Caller, callersTrace, keyOf, type SessionAction } from '../auth/access.js';
import { DemoSessions } from '../demo/demo-sessions.js';
import { SayRelay } from '../demo-say/say-relay.js';
import { jsonBody } from '../http/json-body.js';
import { Limits } from '../limits/limits.js';
import { TurnCredentials } from '../turn/turn-credentials.js';
import { TurnUsers } from '../turn/turn-users.js';
import { SessionService } from './session-service.js';
import { guestView, SessionViews } from './session-view.js';
import { isSpeakable } from './speakable.js';

@Controller('v1/sessions')
export class SessionsController {
  constructor(
    @Inject(CONFIG) private readonly config: SignalingConfig,
    @Inject(Access) private readonly access: Access,
    @Inject(Limits) private readonly limits: Limits,
    @Inject(DemoSessions) private readonly demos: DemoSessions,
    @Inject(SessionService) private readonly sessions: SessionService,
    @Inject(SessionViews) private readonly views: SessionViews,
    @Inject(TurnCredentials) private readonly turn: TurnCredentials,
    @Inject(TurnUsers) private readonly turnUsers: TurnUsers,
    @Inject(SayRelay) private readonly say: SayRelay,
  ) {}

  @Post()
  async create(
    @Req() request: IncomingMessage,
    @Body() body: unknown,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<NewSession> {
    const caller = await this.access.callerOf(request.headers.authorization);
    this.access.requireKeyOrDemo(caller, 'sessions');
    const demo = caller.kind !== 'producer';
    const { avatar, wait, microphone, bargeIn } = jsonBody(request, body, createSessionSchema);
    if (caller.kind === 'producer') caller.key.requireAvatar(avatar);
    if (demo) this.limits.requireConnect(request);
    const counted = this.limits.counted(request);
    this.turnUsers.admit(counted);
    const key = keyOf(caller);
    // Idempotency keys are scoped to an API key; without one, a visitor could get another visitor's session.
    // Members at their defaults are left out, so that a version that did not know them has the same fingerprint.
    const content = { avatar, wait, ...(microphone && { microphone }), ...(bargeIn !== 'off' && { bargeIn }) };
    const command = demo ? undefined : this.#commandOf(request, content);
    const create = () => this.sessions.create(avatar, { demo, wait, microphone, bargeIn, key, command });
    const session = await (demo ? this.demos.make(counted.network, create) : create());
    // Relative to the request, so that it also works under a path prefix.
    response.setHeader('location', `sessions/${session.id}`);
    response.setHeader('cache-control', 'no-store');
    return {
      id: session.id,
      avatar: session.avatar,
      token: session.token,
      ...(session.microphoneToken !== undefined && { microphoneToken: session.microphoneToken }),
      scope: session.scope,
      expiresAt: new Date(session.expiresAtMs).toISOString(),
      signalUrl: '/v1/signal',
      iceServers: this.turn.issue(newId('turn')),
      relayOnly: this.config.turnUrls.length > 0 && this.config.relayOnly,
      turn: session.turn,
    };
  }

  @Get()
  async list(@Headers('authorization') authorization: string | undefined): Promise<{ sessions: SessionSummary[] }> {
    const key = this.access.requireKey(await this.access.callerOf(authorization), 'sessions', 'operate');
    const sessions = (await this.views.list()).filter(
      ({ owner, avatar }) => (key.has('operate') || owner === key.name) && key.allowsAvatar(avatar),
    );
    return { sessions };
  }

  @Get(':id')
  async get(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<SessionDetails> {
    const caller = await this.#admit(id, authorization, 'read');
    const session = await this.views.get(id, (avatar) => this.say.canSay(avatar));
    return caller.kind === 'producer' ? session : guestView(session);
  }

  @Delete(':id')
  @HttpCode(204)
  async end(@Param('id') id: string, @Headers('authorization') authorization: string | undefined): Promise<void> {
    const caller = await this.#admit(id, authorization, 'end');
    await this.sessions.end(id, 'deleted', keyOf(caller));
  }

  @Post(':id/speak')
  @HttpCode(202)
  async speak(@Param('id') id: string, @Req() request: IncomingMessage, @Body() body: unknown): Promise<Spoken> {
    const caller = await this.#admit(id, request.headers.authorization, 'speak');
    const { segments, interrupt, turn } = jsonBody(request, body, speakSchema);
    const traceparent = callersTrace(caller, request.headers);
    const mayUse = (segment: SegmentSummary) => isSpeakable(segment, id, caller);
    // The turn is a condition of the command, as If-Match is, and not a part of it.
    const command = this.#commandOf(request, { speak: segments, interrupt });
    return this.sessions.speak(id, segments, { interrupt, turn, mayUse, key: keyOf(caller), traceparent, command });
  }

  @Post(':id/interrupt')
  @HttpCode(202)
  async interrupt(
    @Param('id') id: string,
    @Req() request: IncomingMessage,
    @Body() body: unknown,
  ): Promise<Interrupted> {
    const caller = await this.#admit(id, request.headers.authorization, 'interrupt');
    if (caller.kind !== 'producer') this.limits.requireInterrupt(id);
    const { turn } = jsonBody(request, body, interruptSchema);
    const command = this.#commandOf(request, 'interrupt');
    return this.sessions.interrupt(id, { key: keyOf(caller), turn, command });
  }

  @Put(':id/state')
  async setState(@Param('id') id: string, @Req() request: IncomingMessage, @Body() body: unknown): Promise<ShownState> {
    await this.#admit(id, request.headers.authorization, 'speak');
    const { state, turn } = jsonBody(request, body, idleStateSchema);
    return this.sessions.setState(id, state, turn);
  }

  @Post(':id/messages')
  @HttpCode(202)
  async message(@Param('id') id: string, @Req() request: IncomingMessage, @Body() body: unknown) {
    const caller = await this.#admit(id, request.headers.authorization, 'speak');
    const { data, viewer } = jsonBody(request, body, messageSchema);
    if (caller.kind !== 'producer') this.limits.requireMessage(id);
    await this.sessions.sendToViewers(id, data, viewer, this.#commandOf(request, { message: data, viewer }));
    return { sent: true };
  }

  @Get(':id/segments')
  async segments(
    @Param('id') id: string,
    @Headers('authorization') authorization: string | undefined,
  ): Promise<{ segments: SessionSegment[] }> {
    const caller = await this.#admit(id, authorization, 'read');
    const watches = caller.kind === 'guest' && caller.claims.scope === 'view';
    const segments = watches
      ? await this.sessions.spokenSegments(id)
      : (await this.sessions.segments(id)).filter((segment) => isSpeakable(segment, id, caller));
    return { segments: segments.map(segmentView) };
  }

  #commandOf({ headers }: IncomingMessage, content: unknown): Command | undefined {
    return commandOf(headers, content, this.config.idempotencyTtlSeconds);
  }

  async #admit(id: string, authorization: string | undefined, action: SessionAction): Promise<Caller> {
    const caller = await this.access.callerOf(authorization);
    await this.access.requireSession(caller, id, action);
    this.limits.requireGuest(caller);
    return caller;
  }
}

/** Omits the owner. */
function segmentView({ durationSamples, session: _session, owner: _owner, ...rest }: SegmentSummary): SessionSegment {
  return { ...rest, durationMs: samplesToMs(durationSamples) };
}
