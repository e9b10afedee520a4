import { type ViewerMessage } from '@humancast/protocol';
import {
  HumancastError,
  newId,
  type Post,
  type SessionRecord,
  type SigningKeys,
  type ToSignaling,
  traceFields,
  verifyToken,
} from '@humancast/shared';
import { isResumeSecret, resumeSecret } from '../auth/resume-secret.js';
import type { EventFeed } from '../events/event-feed.js';
import type { SignalingMetrics } from '../metrics.js';
import type { Inbox, ViewerPost } from '../routing/inbox.js';
import type { TurnUsers } from '../turn/turn-users.js';
import { JoinTrace } from './join-trace.js';
import type { SignalSocket } from './signal-socket.js';
import { ViewerConnection, type ViewerConnectionParts } from './viewer-connection.js';

type Join = Extract<ViewerMessage, { type: 'join' }>;

export interface ConnectionsParts extends ViewerConnectionParts {
  inbox: Inbox;
  /** To other signaling processes. */
  post: Post<ToSignaling>;
  feed: EventFeed;
  turnUsers: TurnUsers;
  metrics: SignalingMetrics;
}

export interface ConnectionsOptions {
  tokenSecret: SigningKeys;
  relayOnly: boolean;
  heartbeatMs: number;
  viewerGraceMs: number;
}

/** A viewer's link, and how to stop what runs for it. */
interface Seat {
  readonly link: ViewerConnection;
  readonly detach: () => void;
  unfollow: () => void;
}

/** Where viewers come in, come back, and go. */
export class Connections {
  readonly #parts: ConnectionsParts;
  readonly #options: ConnectionsOptions;
  /** Who is here. */
  readonly #here = new Map<string, Seat>();
  /** Whose WebSocket was lost, and when it is given up. */
  readonly #graces = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(parts: ConnectionsParts, options: ConnectionsOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /**
   * @throws HumancastError `unauthorized`, `token_expired`, `forbidden`, `rate_limited`, `resume_refused`, `session_not_found`,
   * `session_ended`, `viewer_limit`.
   */
  async join(message: Join, socket: SignalSocket, network: string): Promise<ViewerConnection> {
    const trace = new JoinTrace(this.#parts.tracer, 'join', { session: message.session });
    try {
      return await this.#join(message, socket, network, trace);
    } catch (error) {
      trace.over(error instanceof HumancastError ? error.code : 'internal');
      throw error;
    }
  }

  /** The viewer says goodbye. */
  async leave(link: ViewerConnection): Promise<void> {
    if (!this.#unseat(link)) return;
    link.socket.close(1000, 'left');
    await this.#remove(link, 'viewer left');
  }

  /** Its WebSocket is gone, without a word: it stays for a while, and its media plays on. */
  lost(link: ViewerConnection): void {
    if (!this.#unseat(link)) return;
    this.#grace(link);
  }

  /** Forgets everyone here, who will come back through another process. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#graces.values()) clearTimeout(timer);
    this.#graces.clear();
    for (const seat of this.#here.values()) release(seat);
    this.#here.clear();
  }

  async #join(message: Join, socket: SignalSocket, network: string, trace: JoinTrace): Promise<ViewerConnection> {
    const { registry, router, feed, metrics, logger, turnUsers } = this.#parts;
    const admission = await this.#admit(message);
    const session = await registry.get(message.session);
    if (session.state === 'ended') throw new HumancastError('session_ended');
    const { viewer, resumed } = admission;
    if (!resumed) turnUsers.admit({ network, key: undefined }, session.id);
    const playsOn = resumed && message.connection !== undefined;
    const link = new ViewerConnection(this.#parts, socket, {
      session: session.id,
      viewer,
      epoch: session.epoch,
      trace,
    });
    const lastEvent = await registry.lastEventId(session.id);
    const seat = this.#seat(link);
    try {
      // A connection that still plays goes on; the host learns where the viewer is reached now.
      if (playsOn) {
        await router.viewersChanged(session.id, session.host);
      } else {
        await link.requestOffer();
      }
    } catch (error) {
      this.#unseat(link);
      throw error;
    }
    socket.send(this.#joined(session, viewer));
    link.start();
    if (this.#here.get(viewer) === seat)
      seat.unfollow = feed.follow(session.id, lastEvent, (event) => link.tellEvent(event));
    metrics.joins.inc({ kind: resumed ? 'resumed' : 'new' });
    logger.info({ session: session.id, viewer, resumed, ...traceFields(trace.traceparent) }, 'viewer joined');
    trace.admitted({ viewer, resumed });
    if (playsOn) trace.over();
    if (!socket.isOpen) this.lost(link);
    return link;
  }

  async #admit({ session, token, viewer, resume = '' }: Join): Promise<{ viewer: string; resumed: boolean }> {
    const { registry, mailbox, post } = this.#parts;
    const { tokenSecret } = this.#options;
    const nowMs = Date.now();
    // Who has joined in time and is still there may come back after its token has expired.
    const claims = await verifyToken(token, tokenSecret, nowMs, { acceptExpired: viewer !== undefined });
    if (claims.sid !== session) throw new HumancastError('forbidden', 'the token is of another session');
    if (viewer !== undefined) {
      // Before anything is looked up: the answer does not say whether the viewer is there.
      if (!isResumeSecret(resume, { session, viewer }, tokenSecret)) throw new HumancastError('resume_refused');
      const { found, from } = await registry.moveViewer(session, viewer, mailbox);
      if (found && from !== undefined && from !== mailbox) {
        await post.send(from, { type: 'viewer.replaced', session, viewer });
      }
      if (found) return { viewer, resumed: true };
      await verifyToken(token, tokenSecret, nowMs);
    }
    return { viewer: newId('vw'), resumed: false };
  }

  /** From now on this link is the one that reaches the viewer. */
  #seat(link: ViewerConnection): Seat {
    clearTimeout(this.#graces.get(link.viewer));
    this.#graces.delete(link.viewer);
    this.#replace(link.viewer);
    const detach = this.#parts.inbox.attach(link.viewer, (message) => this.#deliver(link, message));
    const seat: Seat = { link, detach, unfollow: () => {} };
    this.#here.set(link.viewer, seat);
    return seat;
  }

  /** → whether it was this link that reached the viewer: a newer one is not touched. */
  #unseat(link: ViewerConnection): boolean {
    const seat = this.#here.get(link.viewer);
    if (seat?.link !== link) return false;
    this.#here.delete(link.viewer);
    release(seat);
    return true;
  }

  #replace(viewer: string): void {
    const older = this.#here.get(viewer)?.link;
    if (older && this.#unseat(older)) older.socket.fail('replaced');
  }

  #deliver(link: ViewerConnection, message: ViewerPost): void {
    if (message.type === 'viewer.replaced') void this.#checkReplaced(link);
    else link.deliver(message);
  }

  /** It may have come back here meanwhile: what the registry says counts. */
  async #checkReplaced({ session, viewer }: ViewerConnection): Promise<void> {
    const { registry, mailbox, logger } = this.#parts;
    try {
      const now = (await registry.viewers(session)).find((record) => record.viewer === viewer);
      if (now?.mailbox !== mailbox) this.#replace(viewer);
    } catch (error) {
      logger.warn({ session, viewer, err: (error as Error).message }, 'looking for a replaced viewer failed');
    }
  }

  #grace(link: ViewerConnection): void {
    if (this.#closed) return;
    const { session, viewer } = link;
    const giveUp = () => {
      this.#graces.delete(viewer);
      this.#remove(link, 'viewer did not come back').catch((error: unknown) => {
        this.#parts.logger.warn({ session, viewer, err: (error as Error).message }, 'removing a viewer failed');
        this.#grace(link);
      });
    };
    this.#graces.set(viewer, setTimeout(giveUp, this.#options.viewerGraceMs));
  }

  /** Unless it has joined at another process since. */
  async #remove({ session, viewer }: ViewerConnection, why: string): Promise<void> {
    const { registry, router, logger, mailbox } = this.#parts;
    const { removed, host } = await registry.removeViewer(session, viewer, mailbox);
    if (!removed) return;
    logger.info({ session, viewer }, why);
    await router.viewersChanged(session, host);
  }

  #joined({ id, avatar }: SessionRecord, viewer: string) {
    const iceServers = this.#parts.turn.issue(viewer, id);
    const { relayOnly, heartbeatMs, tokenSecret } = this.#options;
    const resume = resumeSecret({ session: id, viewer }, tokenSecret);
    return { type: 'joined', session: id, viewer, resume, avatar, iceServers, relayOnly, heartbeatMs } as const;
  }
}

function release(seat: Seat): void {
  seat.detach();
  seat.unfollow();
  seat.link.release();
}
