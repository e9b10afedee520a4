import { ERRORS, type ErrorCode, type IceServer, SDP_LIMIT_BYTES } from '@humancast/protocol';
import {
  type AvatarStore,
  HumancastError,
  iceCredentialsSchema,
  type Logger,
  newId,
  type SessionRegistry,
  type SigningKeys,
  type Span,
  type Tracer,
  traced,
  traceFields,
  type ViewerRecord,
} from '@humancast/shared';
import type { DemoSessions } from '../demo/demo-sessions.js';
import type { SignalingMetrics } from '../metrics.js';
import type { HostRequests } from '../routing/host-requests.js';
import type { Inbox, ViewerPost } from '../routing/inbox.js';
import type { SessionRouter } from '../routing/session-router.js';
import type { SessionService } from '../sessions/session-service.js';
import type { TurnCredentials } from '../turn/turn-credentials.js';
import { type IceFragment, iceUfragOf, looksLikeSdp, parseIceFragment } from './sdp.js';
import { etagOf, parseResourceId, resourceId, type WhepResource } from './whep-resource.js';

const RETRY_SECONDS = 2;

export interface WhepParts {
  avatars: Pick<AvatarStore, 'get'>;
  registry: SessionRegistry;
  sessions: SessionService;
  demos: DemoSessions;
  router: SessionRouter;
  requests: HostRequests;
  inbox: Inbox;
  turn: TurnCredentials;
  metrics: SignalingMetrics;
  logger: Logger;
  tracer: Tracer;
}

export interface WhepOptions {
  tokenSecret: SigningKeys;
  viewerLimit: number;
  answerMs: number;
  /** Address of this process's mailbox. */
  mailbox: string;
}

export interface WatchRequest {
  avatar: string;
  /** Session to watch; `undefined`: a session is created and ends with the player. */
  session: string | undefined;
  demo: boolean;
  /** The player's network, for the limits. */
  network: string;
  /** The name of the caller's API key. */
  key: string | undefined;
  offer: string;
  /** The caller's trace context. */
  traceparent: string | undefined;
  /** Aborted if the player disconnects before it has its answer. */
  signal: AbortSignal;
}

export interface WhepAnswer {
  sdp: string;
  resource: string;
  etag: string;
  iceServers: IceServer[];
}

export interface WhepPatch {
  /** Fresh TURN credentials. */
  iceServers: IceServer[];
  /**
   * The host's side of a new ICE session as an SDP fragment, and its entity-tag; missing unless the player has started one.
   */
  restarted: { fragment: string; etag: string } | undefined;
}

interface Negotiated {
  connection: string;
  sdp: string;
}

/** Serves WHEP players (draft-ietf-wish-whep). */
export class WhepService {
  readonly #parts: WhepParts;
  readonly #options: WhepOptions;
  readonly #closing = new AbortController();

  constructor(parts: WhepParts, options: WhepOptions) {
    this.#parts = parts;
    this.#options = options;
    parts.inbox.onUnclaimed((message) => this.#later(message));
  }

  /**
   * Negotiates a player's connection.
   * @throws HumancastError `bad_sdp`, `transparent_avatar`, `no_common_codec`, `no_capacity`, `viewer_limit`, and what creating a session throws;
   * then nothing is left behind.
   */
  watch(request: WatchRequest): Promise<WhepAnswer> {
    const span = this.#parts.tracer.start('join', {
      parent: request.traceparent,
      kind: 'server',
      attributes: { whep: true },
    });
    return traced(span, () => this.#watch(request, span));
  }

  /**
   * Restarts ICE if the player names a new ICE user name fragment (RFC 9725 §4.3.3). Candidates are dropped: hosts are
   * ICE-lite agents, which learn a player's addresses from its checks (RFC 8445 §2.5).
   * @throws HumancastError `not_found`, `precondition_required`, `precondition_failed`, `bad_sdp`, `unavailable`.
   */
  async patch(id: string, ifMatch: string | undefined, body: string): Promise<WhepPatch> {
    const resource = parseResourceId(id, this.#options.tokenSecret);
    const { iceUfrag: current = resource.ufrag } = await this.#requireViewer(resource);
    checkPrecondition(ifMatch, etagOf(resource, current));
    checkLength(body);
    const fragment = parseIceFragment(body);
    if (!fragment) throw new HumancastError('bad_sdp', 'the body is not an SDP fragment');
    const { ufrag = current, password } = fragment;
    const restarted = ufrag === current ? undefined : await this.#restart(resource, current, { ufrag, password });
    return { iceServers: this.#parts.turn.issue(resource.viewer), restarted };
  }

  /** Removes the player. @throws HumancastError `not_found`. */
  async stop(id: string): Promise<void> {
    const resource = parseResourceId(id, this.#options.tokenSecret);
    await this.#requireViewer(resource);
    await this.#cleanUp(resource.session, resource.viewer, resource.owned);
    this.#parts.logger.info({ session: resource.session, viewer: resource.viewer }, 'WHEP viewer left');
  }

  /** Checks that the player still exists. @throws HumancastError `not_found`. */
  async check(id: string): Promise<void> {
    await this.#requireViewer(parseResourceId(id, this.#options.tokenSecret));
  }

  /** Rejects players that wait for an answer, so that they retry. */
  close(): void {
    this.#closing.abort();
  }

  async #watch(request: WatchRequest, span: Span): Promise<WhepAnswer> {
    checkLength(request.offer);
    const ufrag = iceUfragOf(request.offer);
    if (!looksLikeSdp(request.offer) || ufrag === undefined) {
      throw new HumancastError('bad_sdp', 'the body is not a session description with ICE');
    }
    if ((await this.#parts.avatars.get(request.avatar))?.alpha) throw new HumancastError('transparent_avatar');
    const session = await this.#sessionFor(request);
    const viewer = newId('vw');
    span.set({ session, viewer });
    const owned = request.session === undefined;
    try {
      const { connection, sdp } = await this.#negotiate(session, viewer, { ...request, traceparent: span.traceparent });
      const { metrics, logger, turn } = this.#parts;
      metrics.joins.inc({ kind: 'whep' });
      logger.info({ session, viewer, ...traceFields(span.traceparent) }, 'WHEP viewer joined');
      const resource: WhepResource = { session, viewer, connection, ufrag, owned };
      const id = resourceId(resource, this.#options.tokenSecret);
      return { sdp, resource: id, etag: etagOf(resource), iceServers: turn.issue(viewer) };
    } catch (error) {
      await this.#cleanUp(session, viewer, owned);
      throw error;
    }
  }

  /** The new fragment is stored first, so that only one of two simultaneous restarts succeeds. */
  async #restart(resource: WhepResource, current: string, next: IceFragment): Promise<WhepPatch['restarted']> {
    const { session, viewer, connection } = resource;
    const { registry, requests, logger } = this.#parts;
    const { data: ice } = iceCredentialsSchema.safeParse({ usernameFragment: next.ufrag, password: next.password });
    if (!ice) throw new HumancastError('bad_sdp', 'an ICE restart needs a valid a=ice-ufrag and a=ice-pwd');
    const { changed, sender } = await registry.restartViewerIce(session, viewer, current, ice.usernameFragment);
    if (!changed) throw new HumancastError('precondition_failed');
    const answer =
      sender === undefined ? undefined : await requests.restartIce(sender, { session, viewer, connection, ice });
    if (answer?.fragment === undefined) {
      await registry.restartViewerIce(session, viewer, ice.usernameFragment, current);
      if (answer) throw new HumancastError('not_found', 'the connection is gone');
      throw new HumancastError('unavailable', { retryAfterSeconds: RETRY_SECONDS });
    }
    logger.info({ session, viewer }, 'WHEP viewer restarted ICE');
    return { fragment: answer.fragment, etag: etagOf(resource, ice.usernameFragment) };
  }

  async #sessionFor({ avatar, session, demo, key, network }: WatchRequest): Promise<string> {
    const { sessions, demos, registry } = this.#parts;
    const create = () => sessions.create(avatar, { demo, key });
    if (session === undefined) return (await (demo ? demos.make(network, create) : create())).id;
    const record = await registry.get(session);
    if (record.avatar !== avatar) throw new HumancastError('session_not_found', `no session of ${avatar} has this id`);
    return session;
  }

  async #negotiate(session: string, viewer: string, request: WatchRequest): Promise<Negotiated> {
    const { registry, router, inbox } = this.#parts;
    const { offer, signal, traceparent } = request;
    const { mailbox, viewerLimit, answerMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<Negotiated>();
    // Handled below; it may reject before that.
    promise.catch(() => {});
    const detach = inbox.attach(viewer, (message) => {
      if (message.type === 'viewer.answered') resolve(message);
      if (message.type === 'viewer.error') reject(hostError(message));
      if (message.type === 'viewer.closed') reject(new HumancastError('unavailable', `closed: ${message.reason}`));
    });
    const stop = AbortSignal.any([signal, this.#closing.signal]);
    const giveUp = () => reject(new HumancastError('unavailable', { retryAfterSeconds: RETRY_SECONDS }));
    stop.addEventListener('abort', giveUp);
    const timer = setTimeout(() => {
      reject(
        new HumancastError('no_capacity', {
          detail: 'no media-sender answered in time',
          retryAfterSeconds: RETRY_SECONDS,
        }),
      );
    }, answerMs);
    try {
      if (stop.aborted) giveUp();
      const { sender } = await registry.putViewer(session, viewer, mailbox, { limit: viewerLimit, offer, traceparent });
      await router.viewerWaits({ session, viewer }, sender, traceparent);
      return await promise;
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', giveUp);
      detach();
    }
  }

  /** Handles a host's messages after the answer. A WHEP player cannot be notified; it detects the loss itself. */
  #later(message: ViewerPost): void {
    // A second answer means that the session has moved to another host; the player cannot learn of the new connection.
    if (message.type !== 'viewer.closed' && message.type !== 'viewer.answered') return;
    const { session, viewer } = message;
    this.#dropIfWhep(session, viewer).catch((error: unknown) => {
      this.#parts.logger.warn({ session, viewer, err: (error as Error).message }, 'removing a WHEP viewer failed');
    });
  }

  async #dropIfWhep(session: string, viewer: string): Promise<void> {
    const record = await this.#parts.registry.viewer(session, viewer);
    if (record?.offer !== undefined) await this.#cleanUp(session, viewer, false);
  }

  /** @throws HumancastError `not_found` if the viewer is gone. */
  async #requireViewer({ session, viewer }: WhepResource): Promise<ViewerRecord> {
    const found = await this.#parts.registry.viewer(session, viewer);
    if (!found) throw new HumancastError('not_found');
    return found;
  }

  async #cleanUp(session: string, viewer: string, end: boolean): Promise<void> {
    const { registry, sessions, router } = this.#parts;
    const { removed, sender } = await registry.removeViewer(session, viewer);
    if (end) await sessions.end(session, 'viewer-left');
    else if (removed) await router.viewersChanged(session, sender, viewer);
  }
}

/** The limit is the same as over WebSocket. @throws HumancastError `message_too_large`. */
function checkLength(sdp: string): void {
  if (Buffer.byteLength(sdp) <= SDP_LIMIT_BYTES) return;
  throw new HumancastError('message_too_large', `a session description has at most ${SDP_LIMIT_BYTES} bytes`);
}

/** Checks `If-Match` (RFC 9110 §13.1.1, RFC 6585 §3). The draft's own example has the star in quotes. */
function checkPrecondition(ifMatch: string | undefined, etag: string): void {
  if (ifMatch === undefined) {
    throw new HumancastError('precondition_required', 'send If-Match with the ETag of the answer');
  }
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (!tags.includes(etag) && !tags.includes('*') && !tags.includes('"*"'))
    throw new HumancastError('precondition_failed');
}

function hostError({ code, message }: Extract<ViewerPost, { type: 'viewer.error' }>): HumancastError {
  return new HumancastError(code in ERRORS ? (code as ErrorCode) : 'internal', message);
}
