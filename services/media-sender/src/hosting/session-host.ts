import {
  type Avatar,
  type Codec,
  type FinishReason,
  HumancastError,
  type Inspection,
  type Logger,
  type MediaStore,
  type Playhead,
  type Post,
  type QueuedSegment,
  type SegmentManifest,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ToSender,
  type ToSignaling,
  type ViewerReport,
} from '@humancast/shared';
import type { IdleLibrary } from '../media/idle-library.js';
import { IdleReel } from '../media/idle-reel.js';
import type { MediaCache } from '../media/media-cache.js';
import { SegmentClip } from '../media/segment-clip.js';
import type { Clip } from '../playout/clip.js';
import type { QueueItem } from '../playout/programme.js';
import { SessionPlayer, type SessionPlayerOptions } from '../playout/session-player.js';
import { Outbox } from './outbox.js';
import { type TransportFactory, ViewerConnections } from './viewer-connections.js';

/** What all sessions of a process share. */
export interface HostServices {
  sender: string;
  registry: SessionRegistry;
  store: MediaStore;
  cache: MediaCache;
  idle: IdleLibrary;
  post: Post<ToSignaling>;
  logger: Logger;
  wallMs: () => number;
  createTransport: TransportFactory;
  createPlayer: (
    options: Pick<SessionPlayerOptions, 'cutPolicy' | 'nextIdle' | 'onStarted' | 'onFinished' | 'onHeld'>,
  ) => SessionPlayer;
  prefetchSamples: number;
  viewerGraceMs: number;
  playheadMs: number;
  metrics: HostMetrics;
}

export interface HostMetrics {
  held(ms: number): void;
  speechFinished(reason: FinishReason): void;
  interruptAccepted(): void;
  viewerReport(report: ViewerReport): void;
}

type EndReason = 'deleted' | 'no-viewers' | 'taken-over' | 'moved' | string;

/**
 * Hosts one session under one epoch, from the claim to its end: serves the viewers that are written down, plays what is queued,
 * and says what happened. Everything it writes names the epoch; the first refusal means that another host took over, and
 * it stops.
 */
export class SessionHost {
  readonly session: string;
  readonly epoch: number;
  readonly #services: HostServices;
  readonly #logger: Logger;
  readonly #avatar: Avatar;
  readonly #codecs: Set<Codec>;
  readonly #reel: IdleReel;
  readonly #player: SessionPlayer;
  readonly #viewers: ViewerConnections;
  readonly #outbox: Outbox;
  readonly #seen = new Set<number>();
  #interruptedSeq: number;
  #playheadTimer: NodeJS.Timeout | undefined;
  #aloneTimer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  #syncAgain = false;
  #stopped = false;
  #resolveEnded: (reason: EndReason) => void = () => {};
  /** Resolves when it hosts no more. */
  readonly ended: Promise<EndReason>;

  /** Reads the avatar's idle playlist; nothing is served before {@link start}. */
  static async open(record: SessionRecord, avatar: Avatar, services: HostServices): Promise<SessionHost> {
    await services.idle.open(avatar.id);
    // Idle clips are encoded as everything of the avatar is; without any, the usual is offered.
    const renditions = services.idle.after(avatar.id, undefined)?.renditions;
    const codecs = renditions?.map((rendition) => rendition.codec) ?? (['vp8'] as const);
    return new SessionHost(record, avatar, [...new Set(codecs)], services);
  }

  private constructor(record: SessionRecord, avatar: Avatar, codecs: readonly Codec[], services: HostServices) {
    this.session = record.id;
    this.epoch = record.epoch;
    this.#services = services;
    this.#avatar = avatar;
    this.#interruptedSeq = record.interruptedSeq;
    this.#logger = services.logger.child({ session: record.id, epoch: record.epoch });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    // Until somebody watches, what is preferred is kept ready.
    this.#codecs = new Set(codecs.slice(0, 1));
    this.#reel = new IdleReel(
      (after) => services.idle.after(avatar.id, after),
      (manifest) => this.#clipOf(manifest),
    );
    this.#outbox = new Outbox(this.#logger, () => void this.stop('taken-over'));
    this.#player = services.createPlayer({
      cutPolicy: avatar.cutPolicy,
      nextIdle: () => this.#reel.take(),
      onStarted: (item) => this.#speechStarted(item),
      onFinished: (item, positionSamples, reason) => this.#speechFinished(item, positionSamples, reason),
      onHeld: (clip, heldSamples) => this.#held(clip, heldSamples),
    });
    this.#viewers = new ViewerConnections({
      session: this.session,
      epoch: this.epoch,
      codecs,
      createTransport: services.createTransport,
      post: services.post,
      logger: this.#logger,
      graceMs: services.viewerGraceMs,
      onConnected: (viewer, connection, codec, transport) => {
        this.#codecs.add(codec);
        this.#player.start();
        this.#player.addViewer(connection, codec, transport);
        this.#logger.info({ viewer, connection, codec }, 'viewer connected');
        this.#emit({ type: 'viewer.connected', viewer });
        this.#watchAlone();
      },
      onDisconnected: (viewer, connection, reason) => {
        this.#player.removeViewer(connection);
        this.#logger.info({ viewer, connection, reason }, 'viewer disconnected');
        this.#emit({ type: 'viewer.disconnected', viewer, reason });
      },
      onKeyframeNeeded: (connection) => this.#player.recover(connection),
      onGone: (viewer) => void this.#removeViewer(viewer),
    });
  }

  get viewerCount(): number {
    return this.#viewers.connectedCount;
  }

  /** Reads what was written before the claim: the other order would let something fall between two hosts. */
  async start(record: SessionRecord): Promise<void> {
    const { registry, playheadMs } = this.#services;
    this.#reel.prepare();
    const { playhead } = record;
    if (playhead && playhead.seq > 0) this.#player.resumeAt(playhead.seq, playhead.positionSamples);
    this.#player.interrupt(record.interruptedSeq);
    for (const item of await registry.queue(this.session)) await this.enqueue(item);
    this.#playheadTimer = setInterval(() => this.#savePlayhead(), playheadMs);
    await this.syncViewers();
    this.#watchAlone();
  }

  async handle(message: ToSender): Promise<void> {
    switch (message.type) {
      case 'viewers.changed':
        return this.syncViewers();
      case 'viewer.answer':
        return this.#viewers.acceptAnswer(message.viewer, message.connection, message.sdp);
      case 'session.interrupt':
        return this.#interrupt(message.seq);
      case 'session.end':
        return this.stop('deleted');
      case 'session.inspect':
        await this.#services.post.send(message.replyTo, {
          type: 'session.inspected',
          session: this.session,
          request: message.request,
          inspection: this.inspect(),
        });
        return;
      case 'viewer.report':
        this.#services.metrics.viewerReport(message.report);
        return;
      // Ours are in the description, and an ICE-lite agent has no use for the viewer's.
      case 'viewer.candidate':
      case 'sender.drain':
        return;
    }
  }

  /** A segment of the session's queue. The same one again (its job and the queue both name it) changes nothing. */
  async enqueue({ seq, segment }: QueuedSegment): Promise<void> {
    if (this.#stopped || this.#seen.has(seq)) return;
    this.#seen.add(seq);
    let manifest: SegmentManifest | undefined;
    try {
      manifest = await this.#services.store.getManifest(segment);
    } catch (error) {
      this.#logger.error({ segment, seq, err: (error as Error).message }, 'manifest could not be read');
    }
    if (this.#stopped) return;
    if (manifest) this.#player.enqueue({ seq, clip: this.#clipOf(manifest) });
    else this.#finished(seq, segment, 0, 'failed');
  }

  /** One pass at a time, and one more when something changed meanwhile. */
  syncViewers(): Promise<void> {
    this.#syncAgain = true;
    this.#syncing ??= this.#syncLoop().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  inspect(): Inspection {
    const playhead = this.#player.playhead();
    const cut = this.#player.nextCut();
    return {
      ...(playhead && {
        playhead: {
          segment: playhead.clip.segment,
          role: playhead.clip.role,
          positionMs: samplesToMs(playhead.positionSamples),
          frame: Math.floor((playhead.positionSamples * playhead.clip.fps.num) / (48_000 * playhead.clip.fps.den)),
        },
      }),
      ...(cut && { nextCut: { segment: cut.clip.segment, frame: cut.frame, inMs: cut.inMs } }),
      held: this.#player.holding,
      prefetchedMs: playhead ? samplesToMs(playhead.clip.readySamples(playhead.positionSamples)) : 0,
      underruns: this.#player.underruns,
    };
  }

  /** The lease is in doubt: be silent until it is certain. */
  suspend(): void {
    this.#player.suspend();
  }

  /** The lease is back: go on if nobody took over meanwhile. */
  async resume(): Promise<void> {
    const record = await this.#services.registry.get(this.session).catch(() => undefined);
    const mine = record?.state === 'hosted' && record.host === this.#services.sender && record.epoch === this.epoch;
    if (mine) this.#player.resume();
    else await this.stop('taken-over');
  }

  /** Others have the right to host now: says nothing more, and plays on until its viewers have changed over. */
  async release(): Promise<void> {
    clearInterval(this.#playheadTimer);
    await this.#outbox.flush();
    this.#outbox.close();
  }

  /**
   * Ends hosting. `taken-over`: another host has it, say nothing more. `moved`: given back, others go on with what is queued.
   * Anything else ends the session.
   */
  async stop(reason: EndReason): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#playheadTimer);
    clearTimeout(this.#aloneTimer);
    const over = reason !== 'taken-over' && reason !== 'moved';
    this.#player.close({ finish: over });
    if (over) {
      await this.#outbox.flush();
      await this.#services.registry.end(this.session, reason, this.epoch).catch((error: unknown) => {
        if (!(error instanceof HumancastError)) throw error;
      });
    }
    this.#viewers.close(reason);
    this.#reel.release();
    this.#services.idle.close(this.#avatar.id);
    this.#outbox.close();
    this.#logger.info({ reason }, 'session no longer hosted here');
    this.#resolveEnded(reason);
  }

  /** Where the programme is now, for the next host. */
  playhead(): Playhead | undefined {
    const playhead = this.#player.playhead();
    return (
      playhead && {
        segment: playhead.clip.segment,
        role: playhead.clip.role,
        seq: playhead.seq,
        positionSamples: Math.round(playhead.positionSamples),
        atMs: this.#services.wallMs(),
      }
    );
  }

  async #syncLoop(): Promise<void> {
    while (this.#syncAgain && !this.#stopped) {
      this.#syncAgain = false;
      this.#viewers.sync(await this.#services.registry.viewers(this.session));
      this.#watchAlone();
    }
  }

  async #removeViewer(viewer: string): Promise<void> {
    try {
      await this.#services.registry.removeViewer(this.session, viewer);
      await this.syncViewers();
    } catch (error) {
      this.#logger.warn({ viewer, err: (error as Error).message }, 'viewer could not be removed');
    }
  }

  /** A session without viewers ends after the grace time. */
  #watchAlone(): void {
    if (this.#stopped) return;
    if (this.#viewers.count > 0) {
      clearTimeout(this.#aloneTimer);
      this.#aloneTimer = undefined;
    } else {
      this.#aloneTimer ??= setTimeout(() => void this.stop('no-viewers'), this.#services.viewerGraceMs);
    }
  }

  #interrupt(seq: number): void {
    // A late message about an interruption that is behind us.
    if (seq < this.#interruptedSeq) return;
    this.#interruptedSeq = seq;
    this.#services.metrics.interruptAccepted();
    this.#logger.info({ seq }, 'interrupted');
    this.#player.interrupt(seq);
  }

  #clipOf(manifest: SegmentManifest): SegmentClip {
    const { cache, prefetchSamples } = this.#services;
    return new SegmentClip(manifest, {
      cache,
      prefetchSamples,
      codecs: this.#codecs,
      onLost: (part, error) =>
        this.#logger.warn(
          { segment: manifest.id, part, err: (error as Error | undefined)?.message },
          'media is missing',
        ),
    });
  }

  #speechStarted(item: QueueItem): void {
    const queued = { seq: item.seq, segment: item.clip.segment };
    this.#logger.info(queued, 'speech started');
    this.#outbox.add(() => this.#services.registry.speechStarted(this.session, this.epoch, queued));
    void this.#services.store.touch(item.clip.segment).catch(() => {});
  }

  #speechFinished(item: QueueItem, positionSamples: number, reason: FinishReason): void {
    this.#finished(item.seq, item.clip.segment, samplesToMs(positionSamples), reason);
  }

  #finished(seq: number, segment: string, positionMs: number, reason: FinishReason): void {
    this.#seen.delete(seq);
    this.#logger.info({ seq, segment, positionMs, reason }, 'speech finished');
    this.#services.metrics.speechFinished(reason);
    const interrupted = reason === 'interrupted' || reason === 'dropped';
    this.#outbox.add(() =>
      this.#services.registry.speechFinished(this.session, this.epoch, {
        type: 'speech.finished',
        seq,
        segment,
        positionMs: Math.round(positionMs),
        interrupted,
        reason,
      }),
    );
  }

  #held(clip: Clip, heldSamples: number): void {
    const heldMs = samplesToMs(heldSamples);
    this.#services.metrics.held(heldMs);
    this.#logger.warn({ segment: clip.segment, heldMs }, 'media came late: both tracks held');
    this.#emit({ type: 'playback.held', segment: clip.segment, heldMs });
  }

  #emit(body: Parameters<SessionRegistry['emit']>[2]): void {
    this.#outbox.add(() => this.#services.registry.emit(this.session, this.epoch, body));
  }

  #savePlayhead(): void {
    const playhead = this.playhead();
    if (playhead)
      this.#outbox.addIfIdle(() => this.#services.registry.savePlayhead(this.session, this.epoch, playhead));
  }
}
