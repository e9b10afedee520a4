import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Avatar } from '@humancast/protocol';
import {
  type AvatarStore,
  BULL_PREFIX,
  type Clock,
  type DeletionLog,
  HumancastError,
  type Logger,
  type Mailbox,
  type Redis,
  readRecord,
  SESSIONS_QUEUE,
  type SenderConfig,
  type SenderRecord,
  type SenderRegistry,
  type SessionJob,
  type SessionRecord,
  type SessionRegistry,
  Stages,
  segmentJobSchema,
  segmentsQueue,
  senderChannel,
  sessionJobSchema,
  type ToSender,
  unlessUnreadable,
  VIEWERS_QUEUE,
  viewerJobSchema,
} from '@humancast/shared';
import { type Job, Queue, type QueueOptions, Worker } from 'bullmq';
import type { Scheduler } from '../playout/scheduler.js';
import type { Sending } from '../playout/viewer-fanout.js';
import { Admission, type PacketCounts } from './admission.js';
import { Lease } from './lease.js';
import { Placement, SAMPLED_SENDERS, sessionLoad, viewerLoad } from './placement.js';
import { SessionFollower } from './session-follower.js';
import { HAND_OVER_MS, SessionWorker, type WorkerServices } from './session-worker.js';

/** Segment jobs of all sessions that are processed at once. */
const SEGMENT_CONCURRENCY = 64;
/** Viewer jobs that are processed at once. */
const VIEWER_CONCURRENCY = 16;
const HAND_OVER_POLL_MS = 20;
/** Every nth of these polls asks Redis whether the session has ended. */
const POLLS_PER_STATE = 10;
/** Delay before a session that could not be opened is queued again. */
const RETURN_DELAY_MS = 500;
/** Approximate time after which jobs of a dead process are removed. */
const JOB_LOCK_MS = 10_000;
/**
 * Fraction of the lease. A blocking pop longer than this could consume a job after the process was frozen past its lease.
 */
const JOB_WAIT = 0.8;
/** Poll interval of the deletion log: a deleted segment is played no longer than this plus the read. */
const DELETIONS_INTERVAL_MS = 500;

export interface MediaSenderOptions {
  id: string;
  config: SenderConfig;
  connection: QueueOptions['connection'];
  clock: Clock;
  scheduler: Scheduler;
  mailbox: Mailbox<ToSender>;
  registry: SessionRegistry;
  senders: SenderRegistry;
  avatars: AvatarStore;
  deletions: Pick<DeletionLog, 'next'>;
  services: WorkerServices;
  /** A subscription to redis-queue. The kernel closes it with the process, so that the others notice immediately. */
  presence: Pick<Redis, 'subscribe' | 'disconnect'>;
  /** Packets sent by playout, and how many were late. */
  packetCounts: () => PacketCounts;
  logger: Logger;
}

/**
 * Hosts the sessions of this process: takes jobs up to its capacity. All sessions share one mailbox, one segment queue and
 * one lease.
 */
export class MediaSender {
  readonly #options: MediaSenderOptions;
  readonly #workers = new Map<string, SessionWorker>();
  readonly #lease: Lease;
  readonly #admission: Admission;
  readonly #placement: Placement;
  /** Sessions of other hosts that are followed, by session; opening ones, too. */
  readonly #followers = new Map<string, Promise<SessionFollower>>();
  readonly #followed = new Map<string, SessionFollower>();
  readonly #viewerPlacement: Placement;
  readonly #viewersQueue: Queue;
  #viewersWorker: Worker | undefined;
  #pullingViewers = true;
  readonly #sessionsQueue: Queue<SessionJob>;
  #sessionsWorker: Worker | undefined;
  #segmentsWorker: Worker | undefined;
  #deletionsTimer: NodeJS.Timeout | undefined;
  /** Jobs in progress: sessions that are hosted, opening or closing. */
  #taken = 0;
  #pulling = true;
  #watched = false;
  #draining = false;
  #closed = false;
  #drained: Promise<void> | undefined;
  readonly #startedAtMs: number;

  constructor(options: MediaSenderOptions) {
    this.#options = options;
    const { clock, config, scheduler, connection } = options;
    this.#startedAtMs = clock.wallMs();
    this.#lease = new Lease({
      clock,
      intervalMs: config.heartbeatMs,
      leaseMs: config.leaseMs,
      renew: () => this.#beat(),
      onLost: () => this.#suspend(),
      onRegained: (unbroken) => this.#resume(unbroken),
    });
    this.#admission = new Admission({
      onChange: (open) => {
        options.logger.warn({ open }, open ? 'accepting sessions again' : 'overloaded, accepting no more sessions');
        this.#updatePulling();
        this.#updatePullingViewers();
      },
      onOverloaded: () => void this.#rescue().catch(() => {}),
      utilization: () => this.#taken / config.maxSessions,
      packetCounts: options.packetCounts,
    });
    this.#placement = new Placement({
      capacity: config.maxSessions,
      taken: () => this.#taken,
      otherUse: () => this.placedViewerCount / config.maxViewers,
      others: async () => (await this.#someOthers()).map(sessionLoad),
      waiting: () => this.#sessionsQueue.getWaitingCount(),
      publish: () => this.#lease.renew(),
      onChange: () => this.#updatePulling(),
      intervalMs: config.heartbeatMs,
    });
    this.#viewerPlacement = new Placement({
      capacity: config.maxViewers,
      taken: () => this.placedViewerCount,
      otherUse: () => this.#taken / config.maxSessions,
      others: async () => (await this.#someOthers()).filter(({ viewerCapacity }) => viewerCapacity > 0).map(viewerLoad),
      waiting: () => this.#viewersQueue.getWaitingCount(),
      publish: () => this.#lease.renew(),
      onChange: () => this.#updatePullingViewers(),
      intervalMs: config.heartbeatMs,
    });
    scheduler.beforeTask = (nowMs) => this.#lease.check(nowMs);
    this.#sessionsQueue = new Queue(SESSIONS_QUEUE, { connection, prefix: BULL_PREFIX });
    this.#viewersQueue = new Queue(VIEWERS_QUEUE, { connection, prefix: BULL_PREFIX });
  }

  get sessionCount(): number {
    return this.#workers.size;
  }

  get viewerCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) count += worker.viewerCount;
    for (const follower of this.#followed.values()) count += follower.viewerCount;
    return count;
  }

  /** Viewers that are served here or are about to be. */
  get placedViewerCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) count += worker.placedCount;
    for (const follower of this.#followed.values()) count += follower.placedCount;
    return count;
  }

  /** Number of sessions of other hosts that are followed. */
  get followedCount(): number {
    return this.#followed.size;
  }

  /** Whether another viewer can be served. */
  get hasViewerCapacity(): boolean {
    return this.placedViewerCount < this.#options.config.maxViewers;
  }

  /** Per-viewer rung, rates and repair. */
  *sending(): Generator<Sending> {
    for (const worker of this.#workers.values()) yield* worker.sending().values();
    for (const follower of this.#followed.values()) yield* follower.sending().values();
  }

  /** Number of sessions by avatar. */
  get avatarCounts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { avatar } of this.#workers.values()) counts.set(avatar, (counts.get(avatar) ?? 0) + 1);
    return counts;
  }

  /** Smallest amount of prefetched media among the sessions; `undefined` if none plays. */
  get leastPrefetchedSamples(): number | undefined {
    let least: number | undefined;
    for (const { prefetchedSamples } of this.#workers.values()) {
      if (prefetchedSamples !== undefined) least = Math.min(least ?? prefetchedSamples, prefetchedSamples);
    }
    return least;
  }

  /** Whether this process accepts another session, capacity permitting. */
  get takesSessions(): boolean {
    return this.unready === undefined && this.#admission.open;
  }

  /** Why this process cannot accept and serve sessions; `undefined` if it can. */
  get unready(): string | undefined {
    if (this.#draining) return 'draining';
    if (!this.#lease.held) return 'redis-queue is not reachable';
    return undefined;
  }

  async start(): Promise<void> {
    const { id, mailbox, connection, config, logger, presence } = this.#options;
    await mailbox.open((message) => this.#handle(message));
    await presence.subscribe(senderChannel(id));
    this.#watched = true;
    await this.#lease.start();
    await this.#followDeletions();
    const everyQueue = {
      connection,
      prefix: BULL_PREFIX,
      drainDelay: (JOB_WAIT * config.leaseMs) / 1000,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    };
    // A dead process is detected by its lease, and what it had taken is offered again as another job; the old one is only removed.
    const sharedQueue = {
      ...everyQueue,
      maxStalledCount: 0,
      lockDuration: JOB_LOCK_MS,
      stalledInterval: JOB_LOCK_MS / 2,
    };
    this.#segmentsWorker = new Worker(segmentsQueue(id), async (job) => this.#takeSegment(job), {
      ...everyQueue,
      concurrency: SEGMENT_CONCURRENCY,
    });
    this.#sessionsWorker = new Worker(SESSIONS_QUEUE, async (job) => this.#take(job), {
      ...sharedQueue,
      concurrency: config.maxSessions,
    });
    this.#viewersWorker = new Worker(VIEWERS_QUEUE, async (job) => this.#takeViewer(job), {
      ...sharedQueue,
      concurrency: VIEWER_CONCURRENCY,
    });
    for (const worker of [this.#segmentsWorker, this.#sessionsWorker, this.#viewersWorker]) {
      worker.on('error', (error) => logger.warn({ queue: worker.name, err: error.message }, 'queue worker error'));
      worker.on('failed', (job, error) =>
        logger.error({ queue: worker.name, session: job?.data.session, err: error.message }, 'job failed'),
      );
    }
    const workers = [this.#segmentsWorker, this.#sessionsWorker, this.#viewersWorker];
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    this.#admission.start();
    this.#placement.start();
    this.#viewerPlacement.start();
    logger.info({ sender: id, capacity: config.maxSessions }, 'media-sender ready');
  }

  /** Hands all sessions over and accepts no more; the process stays until it gets SIGTERM. */
  drain(): Promise<void> {
    this.#drained ??= this.#handOverAll();
    return this.#drained;
  }

  /** Hands all sessions over and releases all resources. */
  async close(): Promise<void> {
    const { id, mailbox, senders, connection, logger, presence } = this.#options;
    await this.drain();
    clearTimeout(this.#deletionsTimer);
    this.#closed = true;
    this.#lease.stop();
    await this.#segmentsWorker?.close();
    await mailbox.close();
    await senders.forget(id);
    presence.disconnect();
    const segments = new Queue(segmentsQueue(id), { connection, prefix: BULL_PREFIX });
    await segments
      .obliterate({ force: true })
      .catch((error: Error) => logger.warn({ err: error.message }, 'removing the segments queue failed'));
    await segments.close();
    await this.#sessionsQueue.close();
    await this.#viewersQueue.close();
  }

  async #handOverAll(): Promise<void> {
    this.#draining = true;
    this.#admission.stop();
    this.#placement.stop();
    this.#viewerPlacement.stop();
    this.#options.logger.info({ sessions: this.#workers.size, followed: this.#followed.size }, 'draining');
    const stoppedTaking = Promise.all([this.#sessionsWorker?.close(), this.#viewersWorker?.close()]);
    const othersHavePlaces = await this.#othersHavePlaces();
    await Promise.all([
      ...[...this.#workers.values()].map((worker) => this.#handOver(worker, othersHavePlaces)),
      ...[...this.#followed.values()].map((follower) => this.#leave(follower)),
    ]);
    await stoppedTaking;
  }

  /** Plays on for a followed session's viewers until they have moved. */
  async #leave(follower: SessionFollower): Promise<void> {
    const { clock } = this.#options;
    const deadlineMs = clock.nowMs() + HAND_OVER_MS;
    await follower.leave();
    while (follower.viewerCount > 0 && clock.nowMs() < deadlineMs) await sleep(HAND_OVER_POLL_MS);
    follower.stop('moved');
  }

  /** Pauses or resumes the worker of the viewers queue; viewers that are served stay. */
  #updatePullingViewers(): void {
    const worker = this.#viewersWorker;
    const pulls = this.#admission.open && this.#viewerPlacement.open;
    if (this.#draining || !worker || pulls === this.#pullingViewers) return;
    this.#pullingViewers = pulls;
    if (pulls) void worker.resume();
    else void worker.pause(true);
  }

  /** Processes a job of the `viewers` queue, which lasts until the viewer is placed. */
  async #takeViewer({ id: jobId, data }: Job<unknown>): Promise<void> {
    const job = readRecord('job', jobId ?? VIEWERS_QUEUE, viewerJobSchema, data);
    if (!job || this.#draining) return;
    const { session, viewer, attempt } = job;
    const { id, registry } = this.#options;
    const { placed, host } = await registry.placeViewer(session, viewer, attempt, id);
    if (!placed) return;
    if (host === id && !this.#followed.has(session)) {
      const record = await registry.viewer(session, viewer);
      if (record) this.#workers.get(session)?.serve(record);
    } else {
      const follower = await this.#follow(session);
      await follower.handle({ type: 'viewers.changed', session, viewer });
    }
    this.#viewerPlacement.changed();
  }

  /** @returns What follows the session here, from now on if nothing does. */
  #follow(session: string): Promise<SessionFollower> {
    let opening = this.#followers.get(session);
    if (!opening) {
      opening = this.#openFollower(session);
      this.#followers.set(session, opening);
      opening.catch(() => this.#followers.delete(session));
    }
    return opening;
  }

  async #openFollower(session: string): Promise<SessionFollower> {
    const { id, registry, services, logger } = this.#options;
    try {
      const record = await registry.get(session);
      const avatar = await this.#avatarOf(record);
      const follower = await SessionFollower.open(record, avatar, services, () => {
        this.#followers.delete(session);
        this.#followed.delete(session);
      });
      this.#followed.set(session, follower);
      await follower.start();
      logger.info({ session, host: record.host }, 'following session');
      return follower;
    } catch (error) {
      logger.error({ session, err: (error as Error).message }, 'following session failed, giving its viewers back');
      this.#followed.get(session)?.stop('failed');
      await registry.unplaceViewers(session, id).catch(() => {});
      throw error;
    }
  }

  async #avatarOf({ avatar: id }: SessionRecord): Promise<Avatar> {
    return (await this.#options.avatars.get(id).catch(unlessUnreadable)) ?? { id, cutPolicy: 'now' as const };
  }

  /** Pauses or resumes the worker of the sessions queue; hosted sessions stay. */
  #updatePulling(): void {
    const worker = this.#sessionsWorker;
    const pulls = this.#admission.open && this.#placement.open;
    if (this.#draining || !worker) return;
    // A worker fetches as many jobs as its concurrency allows before it starts the first: a pause alone would come too late.
    worker.concurrency = Math.max(1, this.#placement.limit);
    if (pulls === this.#pulling) return;
    this.#pulling = pulls;
    if (pulls) void worker.resume();
    else void worker.pause(true);
  }

  /**
   * Accepts orphaned sessions even when this process is overloaded: late packets beat a frozen video.
   */
  async #rescue(): Promise<void> {
    const worker = this.#sessionsWorker;
    if (this.#draining || !worker || this.#taken >= this.#options.config.maxSessions) return;
    const [next] = await this.#sessionsQueue.getJobs(['wait'], 0, 0, true);
    if (this.#pulling || this.#admission.open) return;
    const job = next && readRecord('job', next.id ?? SESSIONS_QUEUE, sessionJobSchema, next.data);
    if (!job || job.epoch === 1) return void worker.pause(true);
    worker.concurrency = this.#taken + 1;
    await worker.resume();
  }

  async #take(job: Job<unknown>): Promise<void> {
    this.#taken++;
    this.#placement.changed();
    if (!this.#pulling) {
      // Rescued sessions are taken one at a time; another may wait.
      void this.#sessionsWorker?.pause(true);
      if (!this.#admission.open) void this.#rescue().catch(() => {});
    }
    try {
      await this.#host(job);
    } finally {
      this.#taken--;
      this.#placement.changed();
    }
  }

  /** Processes a job of the `sessions` queue, which lasts as long as the session is hosted here. */
  async #host({ id: jobId, data, timestamp }: Job<unknown>): Promise<void> {
    const job = readRecord('job', jobId ?? SESSIONS_QUEUE, sessionJobSchema, data);
    // The session is queued again, under a later epoch, until a process can read the job.
    if (!job) return;
    const { session, epoch } = job;
    const { id, registry } = this.#options;
    const stages = new Stages(timestamp);
    stages.end('session.queue');
    if (!(await registry.claim(session, epoch, id))) return;
    const claimedMs = this.#options.clock.nowMs();
    stages.end('session.lease');
    const worker = await this.#open(session, epoch, claimedMs);
    this.#recordTrace(job, stages, worker ? undefined : 'not opened');
    if (!worker) return;
    this.#workers.set(session, worker);
    if (!this.#lease.held) worker.suspend();
    try {
      await worker.start();
      await worker.ended;
    } finally {
      await worker.stop('failed');
      if (this.#workers.get(session) === worker) this.#workers.delete(session);
    }
  }

  #recordTrace({ session, epoch, traceparent }: SessionJob, stages: Stages, error: string | undefined): void {
    const { id, services } = this.#options;
    stages.end('session.open');
    stages.record(services.tracer, 'session.host', {
      parent: traceparent,
      kind: 'consumer',
      attributes: { session, epoch, sender: id },
      error,
    });
  }

  /** Opens a session, or releases and queues it again if it cannot be opened now (its media cannot be read). */
  async #open(session: string, epoch: number, claimedMs: number): Promise<SessionWorker | undefined> {
    const { id, registry, services, logger } = this.#options;
    try {
      const record = await registry.get(session);
      const avatar = await this.#avatarOf(record);
      return await SessionWorker.open(record, avatar, services, () => this.#lease.held, claimedMs);
    } catch (error) {
      logger.error({ session, epoch, err: (error as Error).message }, 'opening session failed, releasing it');
      const next = await registry.release(session, id, epoch);
      if (next !== undefined) await this.#offer({ session, epoch: next }, RETURN_DELAY_MS);
      return undefined;
    }
  }

  async #offer(job: SessionJob, delayMs = 0): Promise<void> {
    const jobId = `${job.session}-${job.epoch}`;
    // It goes before all new sessions, because it has viewers.
    const options = { jobId, delay: delayMs, lifo: true, removeOnComplete: true, removeOnFail: true };
    await this.#sessionsQueue.add(SESSIONS_QUEUE, job, options);
  }

  /** Processes a segment job, which only announces that the session's queue has changed. */
  async #takeSegment({ id, data, timestamp }: Job<unknown>): Promise<void> {
    const job = readRecord('job', id ?? 'segment', segmentJobSchema, data);
    if (job) this.#workers.get(job.session)?.takeSegment(job, timestamp);
  }

  /** Polls the deletion log. While it cannot be read, redis-queue is away and the lease is lost, so nothing plays. */
  async #followDeletions(): Promise<void> {
    try {
      const { segments, gap } = await this.#options.deletions.next();
      if (gap || segments.length > 0) this.#forget(segments, gap);
    } catch (error) {
      this.#options.logger.warn({ err: (error as Error).message }, 'reading deletion log failed, retrying');
    }
    if (!this.#closed) this.#deletionsTimer = setTimeout(() => void this.#followDeletions(), DELETIONS_INTERVAL_MS);
  }

  /** Drops deleted segments from the cache, and from playback by reading every session's queue again. */
  #forget(segments: readonly string[], all: boolean): void {
    const { cache } = this.#options.services;
    if (all) cache.clear();
    else cache.forget(segments);
    for (const worker of this.#workers.values()) worker.contain(() => worker.syncQueue());
  }

  async #handle(message: ToSender): Promise<void> {
    if (message.type === 'sender.drain') return this.drain();
    const worker = this.#workers.get(message.session);
    const follower = this.#followed.get(message.session);
    if (message.type === 'session.inspect') return this.#inspect(message, worker, follower);
    if ('connection' in message) {
      // A process that has taken over a session that it follows does both.
      await (follower?.serves(message.viewer) ? follower : worker)?.handle(message);
      return;
    }
    await Promise.all([worker?.handle(message), follower?.handle(message)]);
  }

  async #inspect(
    { session, request, replyTo, viewers }: Extract<ToSender, { type: 'session.inspect' }>,
    worker: SessionWorker | undefined,
    follower: SessionFollower | undefined,
  ): Promise<void> {
    const followed = follower?.inspect(viewers);
    const hosted = worker?.inspect(viewers);
    const inspection = hosted ?? followed;
    if (!inspection) return;
    if (hosted && followed) {
      inspection.reports = [...(hosted.reports ?? []), ...(followed.reports ?? [])];
      inspection.sending = [...(hosted.sending ?? []), ...(followed.sending ?? [])];
    }
    await this.#options.services.mail.send(replyTo, { type: 'session.inspected', session, request, inspection });
  }

  /** Saves the playhead for the next host and keeps sending until the viewers have moved to it. */
  async #handOver(worker: SessionWorker, othersHavePlaces: boolean): Promise<void> {
    const { id, registry, clock } = this.#options;
    await worker.release();
    const playsOn = othersHavePlaces && worker.viewerCount > 0;
    const playhead = playsOn ? worker.handOverPlayhead() : worker.playhead();
    if (playhead) await registry.savePlayhead(worker.session, worker.epoch, playhead);
    // The next host assumes that this one plays on for HAND_OVER_MS after the save, however long that took.
    const deadlineMs = clock.nowMs() + (playsOn ? HAND_OVER_MS : 0);
    const epoch = await registry.release(worker.session, id, worker.epoch);
    if (epoch !== undefined) {
      await this.#offer({ session: worker.session, epoch });
      for (let look = 1; worker.viewerCount > 0 && clock.nowMs() < deadlineMs; look++) {
        if (look % POLLS_PER_STATE === 0 && (await this.#isOver(worker.session))) break;
        await sleep(HAND_OVER_POLL_MS);
      }
    }
    await worker.stop('moved');
  }

  /** A session may end while it is handed over. The previous host gets no message then, and must stop playing. */
  async #isOver(session: string): Promise<boolean> {
    try {
      return (await this.#options.registry.get(session)).state === 'ended';
    } catch (error) {
      return error instanceof HumancastError && error.code === 'session_not_found';
    }
  }

  /** @returns Whether another sender has free capacity; otherwise there is nobody to wait for. */
  async #othersHavePlaces(): Promise<boolean> {
    const known = (await this.#options.senders.list()).flatMap(({ record }) => record ?? []);
    return known.some((record) => this.#acceptsToo(record) && record.sessions < record.capacity);
  }

  #acceptsToo({ id, accepting, draining }: SenderRecord): boolean {
    return id !== this.#options.id && accepting && !draining;
  }

  async #someOthers(): Promise<SenderRecord[]> {
    return (await this.#options.senders.sample(SAMPLED_SENDERS)).filter((record) => this.#acceptsToo(record));
  }

  #beat(): Promise<boolean> {
    const { id, config, senders } = this.#options;
    return senders.beat(
      {
        id,
        mailbox: id,
        sessions: this.#taken,
        viewers: this.placedViewerCount,
        viewerCapacity: config.maxViewers,
        capacity: config.maxSessions,
        draining: this.#draining,
        accepting: this.#admission.open,
        startedAtMs: this.#startedAtMs,
        hostname: hostname(),
      },
      config.leaseMs,
      this.#watched,
    );
  }

  #suspend(): void {
    this.#options.logger.error({ sessions: this.#workers.size }, 'lease lost, pausing all sessions');
    for (const worker of this.#workers.values()) worker.contain(() => worker.suspend());
  }

  #resume(unbroken: boolean): void {
    for (const worker of this.#workers.values()) worker.contain(() => worker.resume(unbroken));
    // Others may have been given its viewers meanwhile.
    for (const follower of this.#followed.values()) void follower.sync().catch(() => {});
  }
}
