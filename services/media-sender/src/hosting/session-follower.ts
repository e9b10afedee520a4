import type { Avatar, SessionEventBody } from '@humancast/protocol';
import {
  type Inspection,
  type Logger,
  RemoteClock,
  type SegmentManifest,
  type SessionRecord,
  type ToSender,
  unlessUnreadable,
} from '@humancast/shared';
import { IdleLoop } from '../media/idle-loop.js';
import type { Clip } from '../playout/clip.js';
import type { FollowerPlayer } from '../playout/follower-player.js';
import type { Sending } from '../playout/viewer-fanout.js';
import { Coalescer } from './coalescer.js';
import { sampleClock } from './session-spread.js';
import { SessionViewers } from './session-viewers.js';
import type { WorkerServices } from './session-worker.js';

/** Interval at which the clock of Redis is read. */
const CLOCK_MS = 1000;
const FIRST_SAMPLES = 4;
/** Interval at which the session's viewers and its epoch are read again, in case a message was lost. */
const REREAD_MS = 2000;
/** Time after which a session without viewers here is not followed any more. */
const ALONE_MS = 10_000;

/** Serves viewers of a session that another media-sender hosts: plays what that host decides. */
export class SessionFollower {
  readonly session: string;
  readonly #services: WorkerServices;
  readonly #logger: Logger;
  readonly #avatar: Avatar;
  readonly #player: FollowerPlayer;
  readonly #viewers: SessionViewers;
  readonly #clock = new RemoteClock();
  readonly #sync = new Coalescer(() => this.#readViewers());
  readonly #onStopped: () => void;
  #epoch: number;
  #idleState: string;
  /** The idle clips that are shown while the host is silent. */
  #idleLoop: IdleLoop | undefined;
  #timers: NodeJS.Timeout[] = [];
  #aloneTimer: NodeJS.Timeout | undefined;
  #unfollow = () => {};
  #isLeaving = false;
  #isStopped = false;

  /** Reads the avatar's idle playlist. Nothing is served before {@link start}. */
  static async open(
    record: SessionRecord,
    avatar: Avatar,
    services: WorkerServices,
    onStopped: () => void,
  ): Promise<SessionFollower> {
    await services.idle.open(avatar.id);
    return new SessionFollower(record, avatar, services, onStopped);
  }

  private constructor(record: SessionRecord, avatar: Avatar, services: WorkerServices, onStopped: () => void) {
    this.session = record.id;
    this.#services = services;
    this.#avatar = avatar;
    this.#epoch = record.epoch;
    this.#idleState = record.idleState;
    this.#onStopped = onStopped;
    this.#logger = services.logger.child({ session: record.id, role: 'follower' });
    this.#viewers = new SessionViewers({
      session: record.id,
      avatar,
      epoch: () => Math.max(this.#epoch, this.#player.epoch),
      services,
      logger: this.#logger,
      player: () => this.#player,
      maySend: () => true,
      emit: (body) => this.#emit(body),
      onConnected: () => {},
      onLeft: () => {},
      // Viewers that may speak are served by the host.
      onHeard: () => {},
      onGone: (viewer, attempt) => void this.#viewerGone(viewer, attempt),
      onLoaded: undefined,
    });
    this.#player = services.createFollowerPlayer({
      demand: this.#viewers.demand,
      maySend: () => true,
      openClip: (segment) => this.#openClip(segment),
      standIn: (segment) => {
        this.#idleLoop?.release();
        const idleLoop = this.#newIdleLoop(segment);
        this.#idleLoop = idleLoop;
        return {
          cutPolicy: avatar.cutPolicy,
          nextIdle: () => idleLoop.take(),
          isIdleReady: () => idleLoop.isReady,
        };
      },
      onServed: (connection) => this.#viewers.connections.served(connection),
      onViewerFault: (connection, error) => this.#viewers.connections.fault(connection, error),
      onFault: (error) => {
        this.#logger.error({ err: error }, 'following session failed');
        void this.leave().then(() => this.stop('failed'));
      },
    });
  }

  /** @param segment The clip that plays; a clip of speech counts as none. */
  #newIdleLoop(segment: string): IdleLoop {
    const { idle } = this.#services;
    const idleLoop = new IdleLoop(
      (after) => idle.after(this.#avatar.id, after, this.#idleState),
      (manifest) => this.#viewers.openClip(manifest),
    );
    idleLoop.startAfter(segment);
    return idleLoop;
  }

  get viewerCount(): number {
    return this.#viewers.connections.connectedCount;
  }

  /** Viewers placed here, connected or not. */
  get placedCount(): number {
    return this.#viewers.connections.count;
  }

  /** Whether this viewer is placed here. */
  serves(viewer: string): boolean {
    return this.#viewers.connections.has(viewer);
  }

  get avatar(): string {
    return this.#avatar.id;
  }

  sending(): ReadonlyMap<string, Sending> {
    return this.#player.sending();
  }

  async start(): Promise<void> {
    const { decisions, nowMs } = this.#services;
    const sample = (count: number) => sampleClock(this.#clock, this.session, decisions, nowMs, count);
    await sample(FIRST_SAMPLES);
    if (this.#isStopped) return;
    this.#unfollow = decisions.follow(this.session, (decided) => {
      if (this.#clock.offsetMs !== undefined) this.#player.accept(decided, this.#clock.offsetMs);
    });
    this.#timers = [
      setInterval(() => void sample(1).catch(() => {}), CLOCK_MS),
      setInterval(() => {
        this.#viewers.tidy();
        void this.#reread();
      }, REREAD_MS),
    ];
    await this.sync();
  }

  async handle(message: ToSender): Promise<void> {
    const { connections } = this.#viewers;
    switch (message.type) {
      case 'viewers.changed':
        return message.viewer === undefined ? this.sync() : this.#readViewer(message.viewer);
      case 'viewer.answer':
        return connections.acceptAnswer(message.viewer, message.connection, message.sdp);
      case 'viewer.restart': {
        const { session, viewer, connection, ice, request, replyTo } = message;
        const fragment = connections.restartIce(viewer, connection, ice);
        await this.#services.mail.send(replyTo, { type: 'viewer.restarted', session, viewer, request, fragment });
        return;
      }
      case 'viewer.report':
        this.#services.metrics.viewerReport(message.report);
        connections.keepReport(message.viewer, message.report, this.#services.wallMs());
        return;
      case 'session.end':
        return this.stop('deleted');
      default:
        return;
    }
  }

  /** @param viewers Viewers of whom reports are wanted. Default: all. */
  inspect(viewers?: readonly string[]): Inspection {
    return { held: false, prefetchedMs: 0, underruns: 0, ...this.#viewers.inspect(viewers) };
  }

  /** Connects and closes viewers according to where they are placed. */
  sync(): Promise<void> {
    return this.#sync.run();
  }

  /** Gives its viewers back to the host, which places them elsewhere, and plays on until they have moved. */
  async leave(): Promise<void> {
    if (this.#isLeaving || this.#isStopped) return;
    this.#isLeaving = true;
    const { registry, sender } = this.#services;
    try {
      const { host } = await registry.unplaceViewers(this.session, sender);
      await this.#notifyHost(host);
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message }, 'giving viewers back failed');
    }
  }

  stop(reason: string): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#unfollow();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#aloneTimer);
    this.#player.close();
    this.#idleLoop?.release();
    this.#viewers.close(reason);
    this.#services.idle.close(this.#avatar.id);
    this.#logger.info({ reason }, 'session is not followed any more');
    this.#onStopped();
  }

  async #readViewers(): Promise<void> {
    const { registry, sender } = this.#services;
    const records = await registry.placedViewers(this.session, sender);
    if (this.#isStopped || this.#isLeaving) return;
    this.#viewers.sync(records);
    this.#watchAlone();
  }

  async #readViewer(viewer: string): Promise<void> {
    const { registry, sender } = this.#services;
    const record = await registry.viewer(this.session, viewer);
    if (this.#isStopped || this.#isLeaving) return;
    if (record?.sender === sender) this.#viewers.connections.put(record);
    else this.#viewers.connections.remove(viewer);
    this.#watchAlone();
  }

  async #reread(): Promise<void> {
    if (this.#isLeaving) return;
    try {
      const { epoch, state, idleState } = await this.#services.registry.get(this.session);
      this.#epoch = epoch;
      this.#idleState = idleState;
      if (state === 'ended') this.stop('ended');
      else await this.sync();
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message }, 'reading followed session failed, retrying');
    }
  }

  #watchAlone(): void {
    if (this.placedCount > 0) {
      clearTimeout(this.#aloneTimer);
      this.#aloneTimer = undefined;
    } else {
      this.#aloneTimer ??= setTimeout(() => void this.#leaveAlone(), ALONE_MS);
    }
  }

  async #leaveAlone(): Promise<void> {
    this.#aloneTimer = undefined;
    try {
      const { left, host } = await this.#services.registry.leaveSession(this.session, this.#services.sender);
      if (!left) return await this.sync();
      this.stop('no-viewers');
      await this.#notifyHost(host);
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message }, 'leaving session failed, retrying');
      this.#watchAlone();
    }
  }

  async #notifyHost(host: string | undefined): Promise<void> {
    if (host !== undefined)
      await this.#services.senderMail.send(host, { type: 'viewers.changed', session: this.session });
  }

  async #viewerGone(viewer: string, attempt: number): Promise<void> {
    try {
      const { registry, sender } = this.#services;
      await registry.placedViewerGone(this.session, sender, viewer, attempt);
      await this.#readViewer(viewer);
    } catch (error) {
      this.#logger.warn({ viewer, err: (error as Error).message }, 'removing viewer failed');
    }
  }

  async #openClip(segment: string): Promise<Clip | undefined> {
    const manifest = await this.#manifestOf(segment);
    return manifest && manifest.state !== 'failed' ? this.#viewers.openClip(manifest) : undefined;
  }

  async #manifestOf(segment: string): Promise<SegmentManifest | undefined> {
    const { idle, store } = this.#services;
    const known = idle.find(this.#avatar.id, segment);
    if (known) return known;
    try {
      return await store.getManifest(segment).catch(unlessUnreadable);
    } catch (error) {
      this.#logger.warn({ segment, err: (error as Error).message }, 'reading manifest failed');
      return undefined;
    }
  }

  #emit(body: SessionEventBody): void {
    this.#services.registry
      .emitFollowed(this.session, this.#services.sender, body)
      .catch((error: Error) => this.#logger.warn({ err: error.message }, 'writing event failed'));
  }
}
