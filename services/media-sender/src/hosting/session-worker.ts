import { setTimeout as sleep } from 'node:timers/promises';
import { type Avatar, type Codec, type FinishReason, type QueuedSegment, type ViewerReport } from '@humancast/protocol';
import {
  HumancastError,
  type Inspection,
  isRefused,
  type Logger,
  type MailSender,
  type MediaStore,
  type Playhead,
  type SegmentJob,
  type SegmentManifest,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ToSender,
  type ToSignaling,
  type Tracer,
  traceFields,
  unlessUnreadable,
} from '@humancast/shared';
import { IdleLoop } from '../media/idle-loop.js';
import type { IdlePlaylists } from '../media/idle-playlists.js';
import { LiveClip, type LiveClipOptions } from '../media/live-clip.js';
import type { MediaCache } from '../media/media-cache.js';
import { SegmentClip } from '../media/segment-clip.js';
import type { Clip } from '../playout/clip.js';
import type { QueueItem } from '../playout/playout.js';
import { RenditionDemand } from '../playout/rendition-demand.js';
import { SessionPlayer, type SessionPlayerOptions } from '../playout/session-player.js';
import type { TransportEvents, ViewerTransport } from '../transport/viewer-transport.js';
import { Coalescer } from './coalescer.js';
import { type OfferedVideo, offeredVideo } from './offered-video.js';
import { Outbox } from './outbox.js';
import { SpeechTraces } from './speech-traces.js';
import { ViewerConnections } from './viewer-connections.js';

/** What all sessions of a process share. */
export interface WorkerServices {
  sender: string;
  registry: SessionRegistry;
  store: MediaStore;
  cache: MediaCache;
  /** How segments that are still being made are read. */
  live: Pick<LiveClipOptions, 'reader' | 'packetize' | 'startSamples' | 'nowMs'>;
  idle: IdlePlaylists;
  mail: MailSender<ToSignaling>;
  logger: Logger;
  tracer: Tracer;
  wallMs: () => number;
  createTransport: (options: TransportRequest) => ViewerTransport;
  createPlayer: (
    options: Pick<
      SessionPlayerOptions,
      | 'cutPolicy'
      | 'demand'
      | 'maySend'
      | 'nextIdle'
      | 'onStarted'
      | 'onFinished'
      | 'onHeld'
      | 'onServed'
      | 'onViewerFault'
      | 'onFault'
    >,
  ) => SessionPlayer;
  prefetchSamples: number;
  /** Monotonic. */
  nowMs: () => number;
  /** In which media that is missing may come back, ms. */
  missingMediaMs: number;
  viewerGraceMs: number;
  /** How long a session lives on without viewers. */
  sessionGraceMs: number;
  playheadMs: number;
  metrics: WorkerMetrics;
}

interface TransportRequest extends OfferedVideo {
  connection: string;
  events: TransportEvents;
  /** Whether it is a WHEP player, which can't be called back once its connection is closed. */
  isPlayer: boolean;
  /** Whether media may leave at this very instant. */
  maySend: () => boolean;
  /** Of the session. */
  logger: Logger;
}

export interface WorkerMetrics {
  held(ms: number): void;
  speechFinished(reason: FinishReason): void;
  interruptAccepted(): void;
  viewerReport(report: ViewerReport): void;
  /** @param before whether another host had the session. */
  sessionTaken(before: 'nobody' | 'another'): void;
  sessionLeft(reason: EndReason): void;
}

/** How long a host that gives its sessions away keeps sending, until viewers have changed over. */
export const HAND_OVER_MS = 5000;
/** While Redis is away, what is left to say is not waited for longer than this. */
const LAST_WORDS_MS = 3000;
/** So long a codec is still read after its last viewer has left, or another one has come. */
const UNWATCHED_CODEC_MS = 5000;
/** Between attempts to read what can't be read now. */
const RETRY_MS = 250;
/** The queue is also read this often: whoever queued or interrupted may have died, or given up, before it could tell. */
const QUEUE_REREAD_MS = 2000;
/** Of an idle playout the playhead is saved only so often: nobody misses a second of it. */
const IDLE_PLAYHEAD_MS = 1000;

type EndReason = 'deleted' | 'no-viewers' | 'taken-over' | 'moved' | string;

/**
 * Hosts one session under one epoch, from the claim to its end: serves the viewers that are written down, plays what is queued,
 * and says what happened. Everything it writes names the epoch; the first refusal means that another host took over, and
 * it stops.
 */
export class SessionWorker {
  readonly session: string;
  readonly epoch: number;
  readonly #services: WorkerServices;
  readonly #logger: Logger;
  readonly #avatar: Avatar;
  /** What is read of each segment. */
  readonly #codecs: Set<Codec>;
  readonly #demand = new RenditionDemand();
  /** By connection. */
  readonly #watching = new Map<string, Codec>();
  #codecsChangedAtMs = 0;
  readonly #idleLoop: IdleLoop;
  readonly #player: SessionPlayer;
  readonly #viewers: ViewerConnections;
  readonly #outbox: Outbox;
  readonly #speechTraces: SpeechTraces;
  readonly #queueSync = new Coalescer(() => this.#readQueue());
  readonly #viewerSync = new Coalescer(() => this.#readViewers());
  #interruptedSeq: number;
  /** Of the session's queue, everything up to this has been fetched. */
  #fetchedSeq = 0;
  /** Queued segments that are missing: until when each is waited for, monotonic ms, by seq. */
  #missingUntilMs = new Map<number, number>();
  #missingTimer: NodeJS.Timeout | undefined;
  #playheadTimer: NodeJS.Timeout | undefined;
  #playheadSavedAtMs = 0;
  #queueTimer: NodeJS.Timeout | undefined;
  #aloneTimer: NodeJS.Timeout | undefined;
  /** The lease is in doubt. */
  #silent = false;
  #silences = 0;
  #said = 0;
  #stopped = false;
  #resolveEnded: (reason: EndReason) => void = () => {};
  /** Resolves when it hosts no more. */
  readonly ended: Promise<EndReason>;

  /**
   * Reads the avatar's idle playlist; nothing is served before {@link start}.
   * @param hasLease whether this process has the right to be heard, at this very instant.
   * @param claimedMs when the claim was answered, monotonic.
   */
  static async open(
    record: SessionRecord,
    avatar: Avatar,
    services: WorkerServices,
    hasLease: () => boolean,
    claimedMs: number,
  ): Promise<SessionWorker> {
    await services.idle.open(avatar.id);
    const offered = offeredVideo(avatar, services.idle.after(avatar.id, undefined));
    return new SessionWorker(record, avatar, offered, services, hasLease, claimedMs);
  }

  private constructor(
    record: SessionRecord,
    avatar: Avatar,
    { codecs, h264Level }: OfferedVideo,
    services: WorkerServices,
    hasLease: () => boolean,
    claimedMs: number,
  ) {
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
    this.#idleLoop = new IdleLoop(
      (after) => services.idle.after(avatar.id, after),
      (manifest) => this.#clipOf(manifest),
    );
    this.#speechTraces = new SpeechTraces(services.tracer, {
      session: record.id,
      epoch: record.epoch,
      sender: services.sender,
      startSamples: services.live.startSamples,
    });
    this.#outbox = new Outbox(this.#logger, () => void this.stop('taken-over'));
    // Asked for each packet: a process that was stopped in the middle of sending finds out here.
    const maySend = () => !this.#silent && hasLease();
    this.#player = services.createPlayer({
      cutPolicy: avatar.cutPolicy,
      demand: this.#demand,
      maySend,
      nextIdle: () => this.#idleLoop.take(),
      onStarted: (item) => this.#speechStarted(item),
      onFinished: (item, positionSamples, reason) => this.#speechFinished(item, positionSamples, reason),
      onHeld: (clip, heldSamples) => this.#held(clip, heldSamples),
      onServed: (connection) => this.#viewers.served(connection),
      onViewerFault: (connection, error) => this.#viewers.fault(connection, error),
      onFault: (error) => this.#fault(error),
    });
    this.#resumeAt(record, claimedMs);
    this.#player.interrupt(record.interruptedSeq);
    this.#viewers = new ViewerConnections({
      session: this.session,
      epoch: this.epoch,
      codecs,
      sender: services.sender,
      tracer: services.tracer,
      wallMs: services.wallMs,
      createTransport: (connection, offered, events, isPlayer) =>
        services.createTransport({
          connection,
          codecs: offered,
          h264Level,
          events,
          isPlayer,
          logger: this.#logger,
          maySend,
        }),
      mail: services.mail,
      logger: this.#logger,
      graceMs: services.viewerGraceMs,
      onConnected: ({ viewer, traceparent }, connection, codec, transport) => {
        this.#watching.set(connection, codec);
        this.#codecs.add(codec);
        this.#codecsChangedAtMs = performance.now();
        this.#player.start();
        this.#player.addViewer(connection, codec, transport);
        this.#logger.info({ viewer, connection, codec, ...traceFields(traceparent) }, 'viewer connected');
        this.#emit({ type: 'viewer.connected', viewer });
        this.#watchAlone();
      },
      onDisconnected: (viewer, connection, reason) => {
        this.#player.removeViewer(connection);
        this.#watching.delete(connection);
        this.#codecsChangedAtMs = performance.now();
        this.#logger.info({ viewer, connection, reason }, 'viewer disconnected');
        this.#emit({ type: 'viewer.disconnected', viewer, reason });
      },
      onKeyframeNeeded: (connection) => this.#player.recover(connection),
      onGone: (viewer, attempt) => this.contain(() => this.#viewerGone(viewer, attempt)),
    });
  }

  /**
   * Goes on where the host before was. In a planned hand-over that host plays on, so the time since counts; the clock of Redis
   * says how long that was at the claim. After a crash nothing was heard since: speech waits, and repeats what was played after
   * the last playhead that was saved.
   */
  #resumeAt({ playhead, claimedAtMs }: SessionRecord, claimedMs: number): void {
    if (!playhead) return;
    const { segment, seq, positionSamples, savedAtMs, playsOnThroughSeq } = playhead;
    const idle = seq === 0 ? this.#services.idle.find(this.#avatar.id, segment) : undefined;
    if (idle) this.#idleLoop.resumeAt(idle, positionSamples);
    const resumption = { segment, seq, positionSamples, throughSeq: playsOnThroughSeq ?? 0 };
    if (playsOnThroughSeq === undefined || savedAtMs === undefined || claimedAtMs === undefined) {
      this.#player.resumeAt(resumption);
    } else {
      const fromMs = claimedMs - Math.min(Math.max(claimedAtMs - savedAtMs, 0), HAND_OVER_MS);
      this.#player.resumeAt(resumption, { fromMs, untilMs: fromMs + HAND_OVER_MS });
    }
  }

  get viewerCount(): number {
    return this.#viewers.connectedCount;
  }

  get avatar(): string {
    return this.#avatar.id;
  }

  /**
   * How much of what is playing is in memory before it is due, media-clock samples; all there is of it counts as what is
   * fetched ahead at most. `undefined` until it plays.
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
   * Serves the viewers that are written down, and fetches what is queued. It is called after the claim: the other order would let
   * something that is written meanwhile fall between two hosts. Viewers don't wait for the queue, because a picture never depends
   * on what is to be said; connecting takes them longer than reading a queue whose segments are there.
   */
  async start(): Promise<void> {
    this.#services.metrics.sessionTaken(this.epoch > 1 ? 'another' : 'nobody');
    this.#idleLoop.prepare();
    this.contain(() => this.syncQueue());
    this.#playheadTimer = setInterval(() => this.contain(() => this.#savePlayhead()), this.#services.playheadMs);
    this.#queueTimer = setInterval(() => this.contain(() => this.syncQueue()), QUEUE_REREAD_MS);
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
        await this.#services.mail.send(message.replyTo, {
          type: 'session.inspected',
          session: this.session,
          request: message.request,
          inspection: this.inspect(),
        });
        return;
      case 'viewer.report':
        this.#services.metrics.viewerReport(message.report);
        this.#viewers.keepReport(message.viewer, message.report, this.#services.wallMs());
        return;
      case 'sender.drain':
        return;
    }
  }

  /**
   * Notes that a segment was queued, and has the queue read. Nobody waits for that: a session whose queue can't be read must not
   * hold up the jobs of the others.
   * @param queuedAtMs milliseconds since the Unix epoch.
   */
  takeSegment(job: SegmentJob, queuedAtMs: number): void {
    this.#speechTraces.taken(job, queuedAtMs);
    this.contain(() => this.syncQueue());
  }

  /** Something was queued: what is new in the session's queue is fetched, in its order. */
  syncQueue(): Promise<void> {
    return this.#queueSync.run();
  }

  /** Somebody came or went. */
  syncViewers(): Promise<void> {
    return this.#viewerSync.run();
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
      reports: this.#viewers.reports(),
    };
  }

  /** The lease is in doubt: be silent until it is certain. */
  suspend(): void {
    this.#silent = true;
    this.#silences++;
    this.#player.suspend();
  }

  /**
   * The lease is back: goes on if nobody took over meanwhile, and catches up on what was said to it in vain.
   * @param unbroken whether nobody can have: then it needs no write.
   */
  async resume(unbroken: boolean): Promise<void> {
    const silence = this.#silences;
    const mine = await this.#untilAnswered(() => this.#isStillMine(unbroken));
    // Lost again meanwhile: that has an end, too, and asks again then.
    if (mine === undefined || this.#silences !== silence) return;
    if (!mine) return this.stop('taken-over');
    this.#silent = false;
    this.#player.resume();
    await this.syncQueue();
    await this.syncViewers();
  }

  async #isStillMine(unbroken: boolean): Promise<boolean> {
    const { registry, sender } = this.#services;
    try {
      return await registry.resume(this.session, this.epoch, sender);
    } catch (error) {
      if (!unbroken || !isRefused(error)) throw error;
      const { state, host, epoch } = await registry.get(this.session);
      return state === 'hosted' && host === sender && epoch === this.epoch;
    }
  }

  /** Others may host from now on: says nothing more, and plays on until its viewers have changed over. */
  async release(): Promise<void> {
    clearInterval(this.#playheadTimer);
    clearInterval(this.#queueTimer);
    clearTimeout(this.#missingTimer);
    await this.#outbox.flush(LAST_WORDS_MS);
    this.#outbox.close();
  }

  /**
   * Ends hosting. `taken-over`: another host has it, say nothing more. `moved`: given back, others go on with what is queued.
   * Anything else ends the session. Never rejects.
   */
  async stop(reason: EndReason): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    try {
      await this.#stop(reason);
    } catch (error) {
      this.#logger.error({ reason, err: error }, 'stopping a session failed');
    }
    this.#resolveEnded(reason);
  }

  /** Does what nobody waits for: where it throws or rejects, this session ends, and nothing else. */
  contain(action: () => void | Promise<void>): void {
    try {
      action()?.catch((error: unknown) => this.#fault(error));
    } catch (error) {
      this.#fault(error);
    }
  }

  #fault(error: unknown): void {
    this.#logger.error({ err: error }, 'session failed; ending it');
    void this.stop('failed');
  }

  async #stop(reason: EndReason): Promise<void> {
    clearInterval(this.#playheadTimer);
    clearInterval(this.#queueTimer);
    clearTimeout(this.#missingTimer);
    clearTimeout(this.#aloneTimer);
    const over = reason !== 'taken-over' && reason !== 'moved';
    this.#player.close({ finish: over });
    this.#viewers.close(reason);
    this.#idleLoop.release();
    this.#services.idle.close(this.#avatar.id);
    if (over) await this.#end(reason);
    else this.#outbox.close();
    this.#services.metrics.sessionLeft(reason);
    this.#logger.info({ reason }, 'session no longer hosted here');
  }

  /** Where the playout is now, for the next host, while this one plays on. */
  handOverPlayhead(): Playhead | undefined {
    const playhead = this.playhead();
    return playhead && { ...playhead, ...(!this.#player.waiting && { playsOnThroughSeq: this.#fetchedSeq }) };
  }

  /** Where the playout is now, for the next host. */
  playhead(): Playhead | undefined {
    const playhead = this.#player.resumption();
    return (
      playhead && {
        segment: playhead.segment,
        role: playhead.seq > 0 ? 'speech' : 'idle',
        seq: playhead.seq,
        positionSamples: Math.round(playhead.positionSamples),
        atMs: this.#services.wallMs(),
      }
    );
  }

  /** Its last words, and the end of the session. While Redis is away they wait in memory, and nobody waits for them. */
  async #end(reason: EndReason): Promise<void> {
    this.#outbox.add(async () => {
      await this.#services.registry.end(this.session, reason, this.epoch).catch((error: unknown) => {
        if (!(error instanceof HumancastError)) throw error;
      });
      return true;
    });
    await this.#outbox.flush(LAST_WORDS_MS);
  }

  /**
   * Fetches what is new in the session's queue, one after the other: a later one that is read faster must not be played first.
   * At a segment that is missing it stops, and looks again soon; nothing else waits for it.
   */
  async #readQueue(): Promise<void> {
    clearTimeout(this.#missingTimer);
    const fetchedSeq = this.#fetchedSeq;
    const playQueue = await this.#untilAnswered(() => this.#services.registry.playQueue(this.session));
    if (!playQueue) return;
    if (playQueue.interruptedSeq > this.#interruptedSeq) this.#interrupt(playQueue.interruptedSeq);
    this.#dropMissing(playQueue.queue, fetchedSeq);
    const unfetched = playQueue.queue.filter(({ seq }) => seq > fetchedSeq);
    this.#noteUnfetched(unfetched);
    for (const queued of unfetched) {
      if (!(await this.#fetch(queued))) break;
      if (this.#stopped) return;
      this.#fetchedSeq = queued.seq;
    }
  }

  /** All that are queued now are waited for until the same instant: ten that are missing cost no more than one. */
  #noteUnfetched(unfetched: readonly QueuedSegment[]): void {
    const untilMs = this.#services.nowMs() + this.#services.missingMediaMs;
    this.#missingUntilMs = new Map(
      unfetched.map(({ seq }) => [seq, this.#missingUntilMs.get(seq) ?? untilMs] as const),
    );
  }

  /** @returns whether it has been dealt with: handed to the player, or reported; `false`: it is asked for again. */
  async #fetch({ seq, segment }: QueuedSegment): Promise<boolean> {
    if (seq <= this.#interruptedSeq) {
      this.#finished(seq, segment, 0, 'dropped');
      return true;
    }
    const manifest = await this.#manifestOf(segment);
    if (this.#stopped) return true;
    if (manifest === 'unanswered' || (manifest === 'missing' && this.#isWaitedFor(seq))) {
      this.#missingTimer = setTimeout(() => this.contain(() => this.syncQueue()), RETRY_MS);
      return false;
    }
    if (manifest !== 'missing' && manifest.state !== 'failed') this.#enqueue(seq, this.#clipOf(manifest));
    else this.#finished(seq, segment, 0, 'failed');
    return true;
  }

  /** One that was there when it was queued may be back soon: an emptied media store is filled again from the watched folder. */
  #isWaitedFor(seq: number): boolean {
    return seq > this.#interruptedSeq && this.#services.nowMs() < (this.#missingUntilMs.get(seq) ?? 0);
  }

  /** What was fetched before and has left the queue without us was deleted. */
  #dropMissing(queue: readonly QueuedSegment[], fetchedSeq: number): void {
    const queued = new Set(queue.map(({ seq }) => seq));
    this.#player.drop((seq) => seq <= fetchedSeq && !queued.has(seq));
  }

  #enqueue(seq: number, clip: Clip): void {
    this.#speechTraces.fetched(seq, clip);
    this.#player.enqueue({ seq, clip });
    this.#speechTraces.loaded(); // all of it may be in memory
  }

  async #manifestOf(segment: string): Promise<SegmentManifest | 'missing' | 'unanswered'> {
    try {
      return (await this.#services.store.getManifest(segment).catch(unlessUnreadable)) ?? 'missing';
    } catch (error) {
      this.#logger.warn({ segment, err: (error as Error).message }, 'reading a manifest failed; asking again');
      return 'unanswered';
    }
  }

  async #readViewers(): Promise<void> {
    const viewers = await this.#untilAnswered(() => this.#services.registry.viewers(this.session));
    if (!viewers || this.#stopped) return;
    this.#viewers.sync(viewers);
    this.#watchAlone();
  }

  /** What a database that is away, or full, can't say now is asked for until it can. → `undefined` once it is stopped. */
  async #untilAnswered<T>(ask: () => Promise<T>): Promise<T | undefined> {
    while (!this.#stopped) {
      try {
        return await ask();
      } catch (error) {
        this.#logger.warn({ err: (error as Error).message }, 'not answered; asking again');
        await sleep(RETRY_MS);
      }
    }
    return undefined;
  }

  async #viewerGone(viewer: string, attempt: number): Promise<void> {
    try {
      if (!(await this.#services.registry.viewerGone(this.session, this.epoch, viewer, attempt))) {
        return await this.stop('taken-over');
      }
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
      this.#aloneTimer ??= setTimeout(() => void this.stop('no-viewers'), this.#services.sessionGraceMs);
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

  #clipOf(manifest: SegmentManifest): Clip {
    const { cache, prefetchSamples, live } = this.#services;
    const options = {
      cache,
      prefetchSamples,
      codecs: this.#codecs,
      demand: this.#demand,
      onLoaded: this.#services.tracer.enabled ? () => this.contain(() => this.#speechTraces.loaded()) : undefined,
      onLost: (part: string, error?: unknown) =>
        this.#logger.warn(
          { segment: manifest.id, part, err: (error as Error | undefined)?.message },
          'media is missing',
        ),
    };
    return manifest.state === 'open'
      ? new LiveClip(manifest, { ...options, ...live })
      : new SegmentClip(manifest, options);
  }

  #speechStarted(item: QueueItem): void {
    this.#speechTraces.started(item.seq);
    const queued = { seq: item.seq, segment: item.clip.segment };
    this.#logger.info(queued, 'speech started');
    this.#outbox.add(() => this.#services.registry.speechStarted(this.session, this.epoch, queued));
    void this.#services.store.touch(item.clip.segment).catch(() => {});
  }

  #speechFinished(item: QueueItem, positionSamples: number, reason: FinishReason): void {
    this.#finished(item.seq, item.clip.segment, samplesToMs(positionSamples), reason);
  }

  #finished(seq: number, segment: string, positionMs: number, reason: FinishReason): void {
    this.#logger.info({ seq, segment, positionMs, reason }, 'speech finished');
    this.#services.metrics.speechFinished(reason);
    this.#speechTraces.finished(seq, reason);
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
    const number = ++this.#said;
    this.#outbox.addIfRoom(() => this.#services.registry.emit(this.session, this.epoch, body, number));
  }

  /** What nobody watches any more is not read any more, once what is watched is in memory. */
  #dropCodecs(): void {
    if (this.#watching.size === 0 || performance.now() - this.#codecsChangedAtMs < UNWATCHED_CODEC_MS) return;
    const watched = new Set(this.#watching.values());
    for (const codec of this.#codecs) if (!watched.has(codec)) this.#codecs.delete(codec);
  }

  #savePlayhead(): void {
    this.#dropCodecs();
    const playhead = this.playhead();
    if (!playhead) return;
    if (playhead.role === 'idle' && playhead.atMs - this.#playheadSavedAtMs < IDLE_PLAYHEAD_MS) return;
    this.#playheadSavedAtMs = playhead.atMs;
    this.#outbox.addIfIdle(() => this.#services.registry.savePlayhead(this.session, this.epoch, playhead));
  }
}
