import { setTimeout as sleep } from 'node:timers/promises';
import { type Avatar, type FinishReason, IDLE_STATE, type QueuedSegment, type ViewerReport } from '@humancast/protocol';
import {
  type DecisionLog,
  type Decisions,
  HumancastError,
  type Inspection,
  isWriteRejected,
  type Logger,
  type MailSender,
  type MediaStore,
  type Playhead,
  RemoteClock,
  type SegmentJob,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ToSender,
  type ToSignaling,
  type Tracer,
  type ViewerJob,
  type ViewerRecord,
  type VoicePublisher,
} from '@humancast/shared';
import { IdleLoop } from '../media/idle-loop.js';
import type { IdlePlaylists } from '../media/idle-playlists.js';
import type { LadderWatch } from '../media/ladder-watch.js';
import type { LiveClipOptions } from '../media/live-clip.js';
import type { LiveReserveOptions } from '../media/live-reserve.js';
import type { MediaCache } from '../media/media-cache.js';
import type { Clip } from '../playout/clip.js';
import type { FollowerPlayer, FollowerPlayerOptions } from '../playout/follower-player.js';
import { BLOCK_SAMPLES, type QueueItem } from '../playout/playout.js';
import { SessionPlayer, type SessionPlayerOptions } from '../playout/session-player.js';
import type { StandInOptions } from '../playout/stand-in.js';
import { Timeline } from '../playout/timeline.js';
import type { Sending } from '../playout/viewer-fanout.js';
import type { TransportEvents, ViewerTransport } from '../transport/viewer-transport.js';
import { Coalescer } from './coalescer.js';
import { type BargeInAction, type BargeInOutcome, Conversation, type ConversationOptions } from './conversation.js';
import type { OfferedVideo } from './offered-video.js';
import type { RoundRobin, Stop } from './round-robin.js';
import { SessionJournal } from './session-journal.js';
import { SessionSpread, sampleClock } from './session-spread.js';
import { SessionViewers } from './session-viewers.js';
import { SessionVoices } from './session-voices.js';
import { SpeechQueue, untilAnswered } from './speech-queue.js';
import { SpeechText, textUntil } from './speech-text.js';
import { SpeechTraces } from './speech-traces.js';

/** Dependencies that all sessions of a process share. */
export interface WorkerServices {
  sender: string;
  registry: SessionRegistry;
  store: MediaStore;
  cache: MediaCache;
  ladders: Pick<LadderWatch, 'watch'>;
  /** Options for reading open segments. */
  live: Pick<LiveClipOptions, 'reader' | 'packetizerOf' | keyof LiveReserveOptions>;
  idle: IdlePlaylists;
  mail: MailSender<ToSignaling>;
  logger: Logger;
  tracer: Tracer;
  wallMs: () => number;
  createTransport: (options: TransportRequest) => ViewerTransport;
  voices: Pick<VoicePublisher, 'publish' | 'forget'>;
  /** Options of the detection of voices, and of what it causes. */
  voiceActivity: Pick<ConversationOptions, 'bargeInsPerMinute' | 'createClassifier' | 'hangoverMs'>;
  createPlayer: (
    options: Pick<
      SessionPlayerOptions,
      | 'cutPolicy'
      | 'demand'
      | 'maySend'
      | 'isIdleReady'
      | 'nextIdle'
      | 'onStarted'
      | 'onFinished'
      | 'onHeld'
      | 'onWaiting'
      | 'onServed'
      | 'onViewerFault'
      | 'onFault'
    >,
  ) => SessionPlayer;
  createFollowerPlayer: (
    options: Pick<
      FollowerPlayerOptions,
      'demand' | 'maySend' | 'openClip' | 'onServed' | 'onViewerFault' | 'onFault'
    > & {
      standIn: (segment: string) => Pick<StandInOptions, 'cutPolicy' | 'isIdleReady' | 'nextIdle'>;
    },
  ) => FollowerPlayer;
  decisions: DecisionLog;
  /** Messages to other media-senders. */
  senderMail: MailSender<ToSender>;
  /** Offers a viewer to media-senders that have capacity. */
  offerViewer: (job: ViewerJob) => Promise<void>;
  /** Whether this process has capacity for another viewer. */
  hasViewerCapacity: () => boolean;
  /** Viewers of a session that its host serves itself; further ones are served wherever there is the most capacity. */
  hostViewers: number;
  prefetchSamples: number;
  /** Monotonic clock, ms. */
  nowMs: () => number;
  /** Maximum wait for missing media, ms. */
  missingMediaMs: number;
  viewerGraceMs: number;
  /** Lifetime of a session without viewers, ms. */
  sessionGraceMs: number;
  /** Saves the playheads of all sessions. */
  playheads: RoundRobin;
  metrics: WorkerMetrics;
}

interface TransportRequest extends OfferedVideo {
  connection: string;
  events: TransportEvents;
  /** Whether the viewer is a WHEP player, which cannot be called back once its connection is closed. */
  isPlayer: boolean;
  /** Whether the viewer may speak. */
  microphone: boolean;
  /** Whether media may be sent at this instant. */
  maySend: () => boolean;
  /** The session's logger. */
  logger: Logger;
}

export interface WorkerMetrics {
  held(ms: number): void;
  speechFinished(reason: FinishReason): void;
  interruptAccepted(): void;
  bargedIn(action: BargeInAction, outcome: BargeInOutcome): void;
  viewerReport(report: ViewerReport): void;
  /** @param before Whether another host had the session. */
  sessionTaken(before: 'nobody' | 'another'): void;
  sessionLeft(reason: EndReason): void;
}

/** Time for which a host that hands a session over keeps sending until its viewers have moved. */
export const HAND_OVER_MS = 5000;
/** The idle state that is shown while a live push pauses. */
const THINKING_STATE = 'thinking';
/** Samples of the clock of Redis that a timeline is continued by. */
const CLOCK_SAMPLES = 4;
/** Maximum wait for the media to continue another host's session, and its poll interval. */
const CONTINUE_WAIT_MS = 500;
const CONTINUE_POLL_MS = 10;
/** Poll interval of the queue, in case a process died between queuing or interrupting and announcing it. */
const QUEUE_REREAD_MS = 2000;

/** Where the previous host's followers are. */
interface Continued {
  readonly timeline: Timeline;
  /** Position from which nothing is decided. */
  readonly fromSamples: number;
  readonly after: Decisions['after'];
  /** Last `seq` that the followers know. */
  readonly throughSeq: number;
}

type SavedPlayhead = Pick<Playhead, 'segment' | 'seq' | 'positionSamples' | 'savedAtMs' | 'playsOnThroughSeq'>;

type EndReason = 'deleted' | 'no-viewers' | 'taken-over' | 'moved' | string;

/**
 * Hosts one session under one epoch, from the claim to its end: connects its viewers, plays its queue and reports events.
 * All its writes carry the epoch; the first rejection means that another host took over, and hosting stops.
 */
export class SessionWorker {
  readonly session: string;
  readonly epoch: number;
  readonly #services: WorkerServices;
  readonly #logger: Logger;
  readonly #avatar: Avatar;
  readonly #idleLoop: IdleLoop;
  /** The idle state that the producer has set. */
  #state: string;
  /** Whether speech waits for its media. */
  #speechWaits = false;
  /** The state whose clips are shown; empty for the avatar's. */
  #shownState = '';
  readonly #player: SessionPlayer;
  readonly #viewers: SessionViewers;
  readonly #voices: SessionVoices;
  readonly #conversation: Conversation;
  readonly #spread: SessionSpread;
  /** The timeline that the followers of the previous host are on, if there are any. */
  readonly #continued: Continued | undefined;
  readonly #journal: SessionJournal;
  readonly #queue: SpeechQueue;
  readonly #speechTraces: SpeechTraces;
  readonly #speechText = new SpeechText();
  readonly #viewerSync = new Coalescer(() => this.#readViewers());
  #stopSaving: Stop = () => {};
  #queueTimer: NodeJS.Timeout | undefined;
  #aloneTimer: NodeJS.Timeout | undefined;
  /** Whether the lease is in doubt. */
  #suspended = false;
  #suspensions = 0;
  readonly #stopping = new AbortController();
  #resolveEnded: (reason: EndReason) => void = () => {};
  /** Resolves with the reason when hosting has ended. */
  readonly ended: Promise<EndReason>;

  /**
   * Reads the avatar's idle playlist. Nothing is served before {@link start}.
   * @param hasLease Whether this process may send at this instant.
   * @param claimedMs When the claim was answered, on the monotonic clock.
   */
  static async open(
    record: SessionRecord,
    avatar: Avatar,
    services: WorkerServices,
    hasLease: () => boolean,
    claimedMs: number,
  ): Promise<SessionWorker> {
    await services.idle.open(avatar.id);
    const continued = await continuedFrom(record.id, services);
    return new SessionWorker(record, avatar, services, hasLease, claimedMs, continued);
  }

  private constructor(
    record: SessionRecord,
    avatar: Avatar,
    services: WorkerServices,
    hasLease: () => boolean,
    claimedMs: number,
    continued: Continued | undefined,
  ) {
    this.#continued = continued;
    this.session = record.id;
    this.epoch = record.epoch;
    this.#services = services;
    this.#avatar = avatar;
    this.#logger = services.logger.child({ session: record.id, epoch: record.epoch });
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#state = record.idleState;
    this.#idleLoop = new IdleLoop(
      (after) => services.idle.after(avatar.id, after, this.#shownState),
      (manifest) => this.#viewers.openClip(manifest),
    );
    this.#speechTraces = new SpeechTraces(services.tracer, {
      session: record.id,
      epoch: record.epoch,
      sender: services.sender,
      startSamples: services.live.startSamples,
    });
    this.#journal = new SessionJournal({
      session: record.id,
      epoch: record.epoch,
      registry: services.registry,
      logger: this.#logger,
      onRejected: () => void this.stop('taken-over'),
    });
    // Checked for each packet, so that a process that was stopped while sending notices here.
    const maySend = () => !this.#suspended && hasLease();
    this.#viewers = new SessionViewers({
      session: record.id,
      avatar,
      epoch: () => record.epoch,
      services,
      logger: this.#logger,
      player: () => this.#player,
      maySend,
      emit: (body) => this.#journal.emit(body),
      onConnected: () => {
        this.#player.start(this.#continued);
        this.#watchAlone();
      },
      onLeft: (viewer) => {
        this.#voices.forget(viewer);
        this.#conversation.forget(viewer);
      },
      onHeard: (viewer, frame, delays) => {
        this.#voices.heard(viewer, frame, delays);
        this.#conversation.heard(viewer, frame, delays);
      },
      onGone: (viewer, attempt) => this.contain(() => this.#viewerGone(viewer, attempt)),
      onLoaded: services.tracer.enabled ? () => this.contain(() => this.#speechTraces.loaded()) : undefined,
    });
    this.#player = services.createPlayer({
      cutPolicy: avatar.cutPolicy,
      demand: this.#viewers.demand,
      maySend,
      nextIdle: () => this.#idleLoop.take(),
      isIdleReady: () => this.#idleLoop.isReady,
      onStarted: (item) => this.#speechStarted(item),
      onFinished: (item, positionSamples, reason) => this.#speechFinished(item, positionSamples, reason),
      onHeld: (clip, heldSamples) => this.#held(clip, heldSamples),
      onWaiting: (isWaiting) => {
        this.#speechWaits = isWaiting;
        this.#showState();
      },
      onServed: (connection) => this.#viewers.connections.served(connection),
      onViewerFault: (connection, error) => this.#viewers.connections.fault(connection, error),
      onFault: (error) => this.#fault(error),
    });
    this.#voices = new SessionVoices({
      epoch: record.epoch,
      publish: (heard, pcm) => services.voices.publish(record.id, heard, pcm),
      playedAt: (atMs) => this.#player.playedAt(atMs),
      nowMs: services.nowMs,
      wallMs: services.wallMs,
    });
    this.#conversation = new Conversation({
      ...services.voiceActivity,
      bargeIn: record.bargeIn,
      awaitedMs: awaitedAtClaim(record),
      player: this.#player,
      voices: this.#voices,
      emit: (body) => this.#journal.emit(body),
      interrupt: (viewer) => {
        if (maySend()) this.#bargeIn(viewer);
      },
      onBargeIn: (action, outcome) => services.metrics.bargedIn(action, outcome),
      onState: () => this.#showState(),
      nowMs: services.nowMs,
    });
    this.#shownState = this.#stateToShow();
    this.#resumeAt(record, claimedMs);
    this.#spread = new SessionSpread({
      session: record.id,
      epoch: record.epoch,
      registry: services.registry,
      decisions: services.decisions,
      player: this.#player,
      upcomingIdle: () => this.#idleLoop.upcoming,
      offer: services.offerViewer,
      onFollowed: () => this.#player.start(this.#continued),
      onRejected: () => void this.stop('taken-over'),
      nowMs: services.nowMs,
      logger: this.#logger,
    });
    this.#queue = new SpeechQueue({
      session: record.id,
      interruptedSeq: record.interruptedSeq,
      registry: services.registry,
      store: services.store,
      player: this.#player,
      traces: this.#speechTraces,
      openClip: (manifest) => this.#viewers.openClip(manifest),
      onSkipped: (queued, reason) => this.#finished(queued, 0, reason),
      onInterrupted: (seq) => {
        services.metrics.interruptAccepted();
        this.#logger.info({ seq }, 'interrupted');
      },
      onState: (state) => {
        this.#state = state;
        this.#showState();
      },
      onError: (error) => this.#fault(error),
      nowMs: services.nowMs,
      missingMediaMs: services.missingMediaMs,
      signal: this.#stopping.signal,
      logger: this.#logger,
    });
  }

  /**
   * Continues from the previous host's position. In a planned hand-over that host plays on, so the time since then is added;
   * Redis's clock tells how long that was at the claim. After a crash nothing was played since: speech waits, and repeats
   * what was played after the last saved playhead. If there are followers, it continues exactly after what they were told.
   */
  #resumeAt({ playhead: saved, claimedAtMs }: SessionRecord, claimedMs: number): void {
    const playhead: SavedPlayhead | undefined = this.#continued?.after ?? saved;
    if (!playhead) return;
    const { segment, seq, positionSamples, savedAtMs, playsOnThroughSeq } = playhead;
    const idle = seq === 0 ? this.#services.idle.find(this.#avatar.id, segment) : undefined;
    if (idle) this.#idleLoop.resumeAt(idle, positionSamples);
    const throughSeq = this.#continued?.throughSeq ?? playsOnThroughSeq ?? 0;
    const resumption = { segment, seq, positionSamples, throughSeq };
    if (playsOnThroughSeq === undefined || savedAtMs === undefined || claimedAtMs === undefined) {
      this.#player.resumeAt(resumption);
    } else {
      const fromMs = claimedMs - Math.min(Math.max(claimedAtMs - savedAtMs, 0), HAND_OVER_MS);
      this.#player.resumeAt(resumption, { fromMs, untilMs: fromMs + HAND_OVER_MS });
    }
  }

  /**
   * @returns The state of the idle clips to show, if it has any. While speech waits for its media, that is `thinking`;
   * otherwise the producer's, and without one that of the conversation.
   */
  #stateToShow(): string {
    const { idle } = this.#services;
    const set = this.#state === IDLE_STATE ? (this.#conversation.state ?? IDLE_STATE) : this.#state;
    const wanted = this.#speechWaits ? [THINKING_STATE, set] : [set];
    return wanted.find((state) => idle.hasState(this.#avatar.id, state)) ?? '';
  }

  #showState(): void {
    const state = this.#stateToShow();
    if (state === this.#shownState) return;
    this.#shownState = state;
    this.#idleLoop.change();
    this.#player.changeIdle();
  }

  /**
   * Stops the speech at once, and then begins a new turn, as every interruption does. What is queued meanwhile belongs to the
   * turn that ends.
   */
  #bargeIn(viewer: string): void {
    this.#logger.info({ viewer }, 'interrupting, a viewer speaks');
    this.#player.interrupt(this.#queue.fetchedSeq);
    this.contain(async () => {
      const { registry, sender, senderMail } = this.#services;
      const interrupt = async () => {
        try {
          return await registry.interrupt(this.session, { viewer });
        } catch (error) {
          // The session has ended.
          if (error instanceof HumancastError) return undefined;
          throw error;
        }
      };
      const interrupted = await untilAnswered(interrupt, this.#stopping.signal, this.#logger);
      if (!interrupted) return;
      const { interruptedSeq: seq, host } = interrupted;
      this.#queue.interrupt(seq);
      if (host === undefined || host === sender) return;
      // The viewer has not moved yet, and the next host already plays the same speech. Its poll is the fallback.
      await senderMail
        .send(host, { type: 'session.interrupt', session: this.session, seq })
        .catch((error: Error) => this.#logger.warn({ host, err: error.message }, 'telling the next host failed'));
    });
  }

  get viewerCount(): number {
    return this.#viewers.connections.connectedCount;
  }

  /** Viewers served here, connected or not. */
  get placedCount(): number {
    return this.#viewers.connections.count;
  }

  /** @returns The rendition sent on each connection. */
  sending(): ReadonlyMap<string, Sending> {
    return this.#player.sending();
  }

  get avatar(): string {
    return this.#avatar.id;
  }

  /**
   * @returns How much of the playing clip is in memory ahead of the playhead, media-clock samples; the prefetch length if
   * all of it is. `undefined` before playback starts.
   */
  get prefetchedSamples(): number | undefined {
    const playhead = this.#player.playhead();
    if (!playhead) return undefined;
    const { clip, positionSamples } = playhead;
    const ready = clip.readySamples(positionSamples);
    const { prefetchSamples } = this.#services;
    return ready >= clip.durationSamples - positionSamples ? prefetchSamples : Math.min(ready, prefetchSamples);
  }

  /**
   * Connects the session's viewers and fetches its queue. It is called after the claim, because a write between a read and
   * the claim would be seen by no host. Viewers do not wait for the queue: connecting takes longer than reading it.
   */
  async start(): Promise<void> {
    this.#services.metrics.sessionTaken(this.epoch > 1 ? 'another' : 'nobody');
    this.#idleLoop.prepare();
    this.contain(() => this.syncQueue());
    this.#stopSaving = this.#services.playheads.add(() => this.contain(() => this.#savePlayhead()));
    this.#queueTimer = setInterval(() => this.contain(() => this.syncQueue()), QUEUE_REREAD_MS);
    if (this.#continued) this.contain(() => this.#continue());
    await this.syncViewers();
    this.#watchAlone();
  }

  /** Goes on where the previous host's followers are, once the media for that is here, so that they notice no step. */
  async #continue(): Promise<void> {
    const { nowMs } = this.#services;
    const untilMs = nowMs() + CONTINUE_WAIT_MS;
    await Promise.race([this.syncQueue(), sleep(CONTINUE_WAIT_MS)]);
    while (!this.#player.canResume && nowMs() < untilMs) await sleep(CONTINUE_POLL_MS);
    await this.#spread.start({ isFollowed: true });
  }

  async handle(message: ToSender): Promise<void> {
    switch (message.type) {
      case 'viewers.changed':
        return message.viewer === undefined ? this.syncViewers() : this.#readViewer(message.viewer);
      case 'viewer.answer':
        return this.#viewers.connections.acceptAnswer(message.viewer, message.connection, message.sdp);
      case 'viewer.restart': {
        const { session, viewer, connection, ice, request, replyTo } = message;
        const fragment = this.#viewers.connections.restartIce(viewer, connection, ice);
        await this.#services.mail.send(replyTo, { type: 'viewer.restarted', session, viewer, request, fragment });
        return;
      }
      case 'session.interrupt':
        return this.#queue.interrupt(message.seq);
      case 'session.state':
        return this.syncQueue();
      case 'session.end':
        return this.stop('deleted');
      case 'viewer.report':
        this.#services.metrics.viewerReport(message.report);
        this.#viewers.connections.keepReport(message.viewer, message.report, this.#services.wallMs());
        return;
      case 'session.inspect':
      case 'sender.drain':
        return;
    }
  }

  /**
   * Records that a segment was queued, and reads the queue in the background, so that a session whose queue cannot be read
   * does not delay the jobs of others.
   * @param queuedAtMs Milliseconds since the Unix epoch.
   */
  takeSegment(job: SegmentJob, queuedAtMs: number): void {
    this.#speechTraces.taken(job, queuedAtMs);
    this.contain(() => this.syncQueue());
  }

  /** Fetches new items of the session's queue. */
  syncQueue(): Promise<void> {
    return this.#queue.sync();
  }

  /** Connects and closes viewers according to the session's records. */
  syncViewers(): Promise<void> {
    return this.#viewerSync.run();
  }

  /** @param viewers Viewers of whom reports are wanted. Default: all. */
  inspect(viewers?: readonly string[]): Inspection {
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
      ...this.#viewers.inspect(viewers),
    };
  }

  /** Stops sending while the lease is in doubt. */
  suspend(): void {
    this.#suspended = true;
    this.#suspensions++;
    this.#player.suspend();
  }

  /**
   * Resumes once the lease is regained, if this process still owns the session, and catches up on messages missed while
   * suspended.
   * @param unbroken Whether no other host can have taken over; then no write is needed.
   */
  async resume(unbroken: boolean): Promise<void> {
    const suspensions = this.#suspensions;
    const mine = await untilAnswered(() => this.#isStillMine(unbroken), this.#stopping.signal, this.#logger);
    // The lease was lost again meanwhile; the next resume() asks again.
    if (mine === undefined || this.#suspensions !== suspensions) return;
    if (!mine) return this.stop('taken-over');
    this.#suspended = false;
    this.#player.resume();
    await this.syncQueue();
    await this.syncViewers();
  }

  async #isStillMine(unbroken: boolean): Promise<boolean> {
    const { registry, sender } = this.#services;
    try {
      return await registry.resume(this.session, this.epoch, sender);
    } catch (error) {
      if (!unbroken || !isWriteRejected(error)) throw error;
      const { state, host, epoch } = await registry.get(this.session);
      return state === 'hosted' && host === sender && epoch === this.epoch;
    }
  }

  /** Stops writing, so that another host can take over, and keeps playing until the viewers have moved. */
  async release(): Promise<void> {
    this.#stopSaving();
    clearInterval(this.#queueTimer);
    this.#queue.cancelRetry();
    await this.#spread.handOver();
    await this.#journal.release();
  }

  /**
   * Stops hosting. With `taken-over` another host has the session and nothing more is written; with `moved` it was released
   * and others continue with its queue; any other reason ends the session. Never rejects.
   */
  async stop(reason: EndReason): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    try {
      await this.#stop(reason);
    } catch (error) {
      this.#logger.error({ reason, err: error }, 'stopping session failed');
    }
    this.#resolveEnded(reason);
  }

  /** Runs an action in the background. If it throws or rejects, this session ends, and nothing else. */
  contain(action: () => void | Promise<void>): void {
    try {
      action()?.catch((error: unknown) => this.#fault(error));
    } catch (error) {
      this.#fault(error);
    }
  }

  #fault(error: unknown): void {
    this.#logger.error({ err: error }, 'session failed, ending it');
    void this.stop('failed');
  }

  async #stop(reason: EndReason): Promise<void> {
    this.#stopSaving();
    clearInterval(this.#queueTimer);
    this.#queue.cancelRetry();
    clearTimeout(this.#aloneTimer);
    const over = reason !== 'taken-over' && reason !== 'moved';
    this.#spread.close();
    this.#player.close({ finish: over });
    this.#viewers.close(reason);
    this.#conversation.close();
    this.#services.voices.forget(this.session);
    this.#idleLoop.release();
    this.#services.idle.close(this.#avatar.id);
    if (over) await this.#journal.end(reason);
    else this.#journal.close();
    this.#services.metrics.sessionLeft(reason);
    this.#logger.info({ reason }, 'session closed');
  }

  /** @returns The playhead for the next host while this one keeps playing. */
  handOverPlayhead(): Playhead | undefined {
    const playhead = this.playhead();
    return playhead && { ...playhead, ...(!this.#player.waiting && { playsOnThroughSeq: this.#queue.fetchedSeq }) };
  }

  /** @returns The playhead for the next host. */
  playhead(): Playhead | undefined {
    const playhead = this.#player.resumption();
    const { awaitedMs } = this.#conversation;
    return (
      playhead && {
        segment: playhead.segment,
        role: playhead.seq > 0 ? 'speech' : 'idle',
        seq: playhead.seq,
        positionSamples: Math.round(playhead.positionSamples),
        atMs: this.#services.wallMs(),
        ...(awaitedMs !== undefined && { awaitedMs }),
      }
    );
  }

  async #readViewers(): Promise<void> {
    const viewers = await untilAnswered(
      () => this.#services.registry.viewers(this.session),
      this.#stopping.signal,
      this.#logger,
    );
    if (!viewers || this.#stopping.signal.aborted) return;
    this.#viewers.sync(viewers.filter((record) => this.#serves(record)));
    this.#watchAlone();
  }

  async #readViewer(viewer: string): Promise<void> {
    const { registry } = this.#services;
    const signal = this.#stopping.signal;
    // An object, because an aborted read has no answer and a viewer that has left no record.
    const answer = await untilAnswered(
      async () => ({ record: await registry.viewer(this.session, viewer) }),
      signal,
      this.#logger,
    );
    if (!answer || signal.aborted) return;
    if (answer.record && this.#serves(answer.record)) this.#viewers.connections.put(answer.record);
    else this.#viewers.connections.remove(viewer);
    this.#watchAlone();
  }

  /** Serves a viewer that was placed here, because there is more capacity than elsewhere. */
  serve(record: ViewerRecord): void {
    this.#spread.placed(record.viewer);
    this.#viewers.connections.put(record);
    this.#watchAlone();
  }

  /** @returns Whether a viewer is served here; if there is no capacity, it is offered to other media-senders. */
  #serves(record: ViewerRecord): boolean {
    const { connections } = this.#viewers;
    if (record.sender !== undefined) return false;
    const { hostViewers, hasViewerCapacity } = this.#services;
    if (connections.has(record.viewer)) return true;
    // What a viewer says is stamped with what it was hearing, which the host knows. Without capacity, its page asks again.
    if (record.microphone) return hasViewerCapacity();
    if (connections.count < hostViewers && hasViewerCapacity()) return true;
    this.#spread.place(record);
    return false;
  }

  async #viewerGone(viewer: string, attempt: number): Promise<void> {
    try {
      if (!(await this.#services.registry.viewerGone(this.session, this.epoch, viewer, attempt))) {
        return await this.stop('taken-over');
      }
      await this.syncViewers();
    } catch (error) {
      this.#logger.warn({ viewer, err: (error as Error).message }, 'removing viewer failed');
    }
  }

  /** Ends a session without viewers after the grace period. */
  #watchAlone(): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#viewers.connections.count > 0) {
      clearTimeout(this.#aloneTimer);
      this.#aloneTimer = undefined;
    } else {
      this.#aloneTimer ??= setTimeout(() => this.contain(() => this.#endAlone()), this.#services.sessionGraceMs);
    }
  }

  async #endAlone(): Promise<void> {
    this.#aloneTimer = undefined;
    const { registry } = this.#services;
    const signal = this.#stopping.signal;
    // Others may serve viewers.
    const count = this.#spread.isSpread
      ? await untilAnswered(() => registry.viewerCount(this.session), signal, this.#logger)
      : 0;
    if (count === 0 && this.#viewers.connections.count === 0) await this.stop('no-viewers');
    else this.#watchAlone();
  }

  #speechStarted(item: QueueItem): void {
    this.#speechTraces.started(item.seq);
    this.#conversation.answered();
    const queued = { seq: item.seq, segment: item.clip.segment };
    this.#logger.info(queued, 'speech started');
    this.#journal.speechStarted(queued);
    void this.#services.store.touch(item.clip.segment).catch(() => {});
  }

  #speechFinished(item: QueueItem, positionSamples: number, reason: FinishReason): void {
    const { seq, clip } = item;
    const positionMs = samplesToMs(positionSamples);
    this.#tellText(seq, clip, positionMs);
    const text = clip.text?.length ? textUntil(clip.text, reason === 'finished' ? Infinity : positionMs) : undefined;
    this.#finished({ seq, segment: clip.segment }, positionMs, reason, text);
  }

  /** Tells which part of a segment's text is being heard. */
  #tellText(seq: number, { segment, text = [] }: Clip, positionMs: number): void {
    for (const { text: words, atMs, untilMs } of this.#speechText.advance(seq, text, positionMs)) {
      this.#journal.emit({ type: 'speech.text', seq, segment, text: words, positionMs: atMs, untilMs });
    }
  }

  #finished(queued: QueuedSegment, positionMs: number, reason: FinishReason, text?: string): void {
    this.#logger.info({ ...queued, positionMs, reason }, 'speech finished');
    this.#services.metrics.speechFinished(reason);
    this.#speechTraces.finished(queued.seq, reason);
    this.#journal.speechFinished(queued, positionMs, reason, text);
  }

  #held(clip: Clip, heldSamples: number): void {
    const heldMs = samplesToMs(heldSamples);
    this.#services.metrics.held(heldMs);
    this.#logger.warn({ segment: clip.segment, heldMs }, 'media late, both tracks held');
    this.#journal.emit({ type: 'playback.held', segment: clip.segment, heldMs });
  }

  #savePlayhead(): void {
    this.#viewers.tidy();
    const playhead = this.playhead();
    if (playhead) this.#journal.savePlayhead(playhead);
    const heard = this.#player.playhead();
    if (heard && heard.seq > 0) this.#tellText(heard.seq, heard.clip, samplesToMs(heard.positionSamples));
  }
}

/** @returns For how long viewers had waited for an answer at the claim, ms, by the clock of Redis. */
function awaitedAtClaim({ playhead, claimedAtMs }: SessionRecord): number | undefined {
  const { awaitedMs, savedAtMs } = playhead ?? {};
  if (awaitedMs === undefined || savedAtMs === undefined || claimedAtMs === undefined) return undefined;
  return awaitedMs + Math.max(0, claimedAtMs - savedAtMs);
}

/** @returns The timeline of the previous host, if other media-senders follow the session. */
async function continuedFrom(session: string, services: WorkerServices): Promise<Continued | undefined> {
  const { registry, decisions, nowMs, wallMs, logger } = services;
  try {
    if ((await registry.followers(session)).length === 0) return undefined;
    const last = await decisions.last(session);
    if (!last) return undefined;
    const clock = new RemoteClock();
    await sampleClock(clock, session, decisions, nowMs, CLOCK_SAMPLES);
    const anchorMs = last.anchorMs - (clock.offsetMs ?? 0);
    const timeline = new Timeline(anchorMs, wallMs() + anchorMs - nowMs());
    const { after, next, audioSamples, opus } = last;
    const throughSeq = Math.max(after?.seq ?? 0, ...next.map(({ seq }) => seq));
    return { timeline, fromSamples: audioSamples + opus.length * BLOCK_SAMPLES, after, throughSeq };
  } catch (error) {
    logger.warn({ session, err: (error as Error).message }, 'reading decisions failed, beginning another timeline');
    return undefined;
  }
}
