import type { Alpha, ViewerMessage } from '@humancast/protocol';
import {
  type AvatarStore,
  HumancastError,
  type MailSender,
  newId,
  type SessionRecord,
  type SigningKeys,
  type ToSignaling,
  traceFields,
  verifyToken,
} from '@humancast/shared';
import { isResumeSecret, resumeSecret } from '../auth/resume-secret.js';
import type { ViewerEvents } from '../events/viewer-events.js';
import type { SignalingMetrics } from '../metrics.js';
import type { Inbox, ViewerPost } from '../routing/inbox.js';
import type { TurnUsers } from '../turn/turn-users.js';
import { JoinTrace } from './join-trace.js';
import type { SignalSocket } from './signal-socket.js';
import { ViewerConnection, type ViewerConnectionParts } from './viewer-connection.js';

type Join = Extract<ViewerMessage, { type: 'join' }>;

export interface ConnectionsParts extends ViewerConnectionParts {
  avatars: Pick<AvatarStore, 'get'>;
  inbox: Inbox;
  /** Sends messages to other signaling processes. */
  mail: MailSender<ToSignaling>;
  events: ViewerEvents;
  turnUsers: TurnUsers;
  metrics: SignalingMetrics;
}

export interface ConnectionsOptions {
  tokenSecret: SigningKeys;
  relayOnly: boolean;
  heartbeatMs: number;
  viewerGraceMs: number;
}

interface Admission {
  readonly viewer: string;
  readonly microphone: boolean;
  readonly resumed: boolean;
  /** The media-sender that serves a viewer who resumes, if any. */
  readonly sender?: string | undefined;
}

/** A viewer's connection, and a function that stops its subscriptions. */
interface Attachment {
  readonly connection: ViewerConnection;
  readonly detach: () => void;
  unfollow: () => void;
}

/** The viewers connected to this process: joins, resumes and removes them. */
export class Connections {
  readonly #parts: ConnectionsParts;
  readonly #options: ConnectionsOptions;
  /** Connected viewers, by id. */
  readonly #attached = new Map<string, Attachment>();
  /** Timers that remove viewers whose WebSocket was lost, by id. */
  readonly #graceTimers = new Map<string, NodeJS.Timeout>();
  #closed = false;

  constructor(parts: ConnectionsParts, options: ConnectionsOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /**
   * @throws HumancastError `unauthorized`, `token_expired`, `forbidden`, `rate_limited`, `resume_refused`,
   * `session_not_found`, `session_ended`, `viewer_limit`.
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

  /** Removes a viewer that leaves. */
  async leave(connection: ViewerConnection): Promise<void> {
    if (!this.#detach(connection)) return;
    connection.socket.close(1000, 'left');
    await this.#remove(connection, 'viewer left');
  }

  /** Starts the grace period of a viewer whose WebSocket was lost. Its media plays on. */
  lost(connection: ViewerConnection): void {
    if (!this.#detach(connection)) return;
    this.#startGrace(connection);
  }

  /** Forgets all viewers without removing them, because they resume at another process. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#graceTimers.values()) clearTimeout(timer);
    this.#graceTimers.clear();
    for (const attachment of this.#attached.values()) release(attachment);
    this.#attached.clear();
  }

  async #join(message: Join, socket: SignalSocket, network: string, trace: JoinTrace): Promise<ViewerConnection> {
    const { registry, router, events, metrics, logger, turnUsers } = this.#parts;
    const admission = await this.#admit(message);
    const session = await registry.get(message.session);
    if (session.state === 'ended') throw new HumancastError('session_ended');
    const { viewer, microphone, resumed, sender } = admission;
    if (!resumed) turnUsers.admit({ network, key: undefined }, session.id);
    const playsOn = resumed && message.connection !== undefined;
    const connection = new ViewerConnection(this.#parts, socket, {
      session: session.id,
      viewer,
      microphone,
      epoch: session.epoch,
      trace,
    });
    const [lastEvent, avatar] = await Promise.all([
      registry.lastEventId(session.id),
      this.#parts.avatars.get(session.avatar),
    ]);
    const attachment = this.#attach(connection);
    try {
      // A peer connection that still plays is kept; its media-sender only learns the viewer's new mailbox.
      if (playsOn) {
        await router.viewersChanged(session.id, sender, viewer);
      } else {
        await connection.requestOffer();
      }
    } catch (error) {
      this.#detach(connection);
      throw error;
    }
    socket.send(this.#joined(session, viewer, avatar?.alpha));
    connection.start();
    if (this.#attached.get(viewer) === attachment)
      attachment.unfollow = events.follow(connection, lastEvent, (event) => connection.sendEvent(event));
    metrics.joins.inc({ kind: resumed ? 'resumed' : 'new' });
    logger.info({ session: session.id, viewer, resumed, ...traceFields(trace.traceparent) }, 'viewer joined');
    trace.admitted({ viewer, resumed });
    if (playsOn) trace.over();
    if (!socket.isOpen) this.lost(connection);
    return connection;
  }

  async #admit({ session, token, viewer, resume = '' }: Join): Promise<Admission> {
    const { registry, mailbox, mail } = this.#parts;
    const { tokenSecret } = this.#options;
    const nowMs = Date.now();
    // A registered viewer may resume after its token has expired.
    const claims = await verifyToken(token, tokenSecret, nowMs, { acceptExpired: viewer !== undefined });
    if (claims.sid !== session) throw new HumancastError('forbidden', 'the token is of another session');
    const { microphone = false } = claims;
    if (viewer !== undefined) {
      // Checked before any lookup, so that the answer does not disclose whether the viewer exists.
      if (!isResumeSecret(resume, { session, viewer }, tokenSecret)) throw new HumancastError('resume_refused');
      const { found, from, sender } = await registry.moveViewer(session, viewer, mailbox);
      if (found && from !== undefined && from !== mailbox) {
        await mail.send(from, { type: 'viewer.replaced', session, viewer });
      }
      if (found) return { viewer, microphone, resumed: true, sender };
      await verifyToken(token, tokenSecret, nowMs);
    }
    return { viewer: newId('vw'), microphone, resumed: false };
  }

  /** Makes this the viewer's connection, replacing an older one. */
  #attach(connection: ViewerConnection): Attachment {
    clearTimeout(this.#graceTimers.get(connection.viewer));
    this.#graceTimers.delete(connection.viewer);
    this.#replace(connection.viewer);
    const detach = this.#parts.inbox.attach(connection.viewer, (message) => this.#deliver(connection, message));
    const attachment: Attachment = { connection, detach, unfollow: () => {} };
    this.#attached.set(connection.viewer, attachment);
    return attachment;
  }

  /** @returns Whether this was the viewer's connection; a newer one is not touched. */
  #detach(connection: ViewerConnection): boolean {
    const attachment = this.#attached.get(connection.viewer);
    if (attachment?.connection !== connection) return false;
    this.#attached.delete(connection.viewer);
    release(attachment);
    return true;
  }

  #replace(viewer: string): void {
    const older = this.#attached.get(viewer)?.connection;
    if (older && this.#detach(older)) older.socket.fail('replaced');
  }

  #deliver(connection: ViewerConnection, message: ViewerPost): void {
    if (message.type === 'viewer.replaced') void this.#checkReplaced(connection);
    else connection.deliver(message);
  }

  /** Checks the registry, because the viewer may have returned here meanwhile. */
  async #checkReplaced({ session, viewer }: ViewerConnection): Promise<void> {
    const { registry, mailbox, logger } = this.#parts;
    try {
      const now = await registry.viewer(session, viewer);
      if (now?.mailbox !== mailbox) this.#replace(viewer);
    } catch (error) {
      logger.warn({ session, viewer, err: (error as Error).message }, 'looking up a replaced viewer failed');
    }
  }

  #startGrace(connection: ViewerConnection): void {
    if (this.#closed) return;
    const { session, viewer } = connection;
    const giveUp = () => {
      this.#graceTimers.delete(viewer);
      this.#remove(connection, 'viewer did not resume in time').catch((error: unknown) => {
        this.#parts.logger.warn({ session, viewer, err: (error as Error).message }, 'removing a viewer failed');
        this.#startGrace(connection);
      });
    };
    this.#graceTimers.set(viewer, setTimeout(giveUp, this.#options.viewerGraceMs));
  }

  /** Removes the viewer unless it has joined at another process since. */
  async #remove({ session, viewer }: ViewerConnection, why: string): Promise<void> {
    const { registry, router, logger, mailbox } = this.#parts;
    const { removed, sender } = await registry.removeViewer(session, viewer, mailbox);
    if (!removed) return;
    logger.info({ session, viewer }, why);
    await router.viewersChanged(session, sender, viewer);
  }

  #joined({ id: session, avatar }: SessionRecord, viewer: string, alpha: Alpha | undefined) {
    const iceServers = this.#parts.turn.issue(viewer);
    const { relayOnly, heartbeatMs, tokenSecret } = this.#options;
    const resume = resumeSecret({ session, viewer }, tokenSecret);
    return { type: 'joined', session, viewer, resume, avatar, alpha, iceServers, relayOnly, heartbeatMs } as const;
  }
}

function release(attachment: Attachment): void {
  attachment.detach();
  attachment.unfollow();
  attachment.connection.release();
}
