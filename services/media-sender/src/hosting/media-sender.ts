import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
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
  type SenderRegistry,
  type SessionJob,
  type SessionRegistry,
  Stages,
  segmentJobSchema,
  segmentsQueue,
  senderChannel,
  sessionJobSchema,
  type ToSender,
  unlessUnreadable,
} from '@humancast/shared';
import { type Job, Queue, type QueueOptions, Worker } from 'bullmq';
import type { Scheduler } from '../playout/scheduler.js';
import { Admission, type Paced } from './admission.js';
import { Lease } from './lease.js';
import { type Load, Placement } from './placement.js';
import { HAND_OVER_MS, SessionWorker, type WorkerServices } from './session-worker.js';

/** Segments of all sessions that are looked up at once. */
const SEGMENT_CONCURRENCY = 64;
const HAND_OVER_LOOK_MS = 20;
/** Every so many of these looks asks Redis whether the session has ended. */
const LOOKS_PER_STATE = 10;
/** A session that could not be opened is offered to all again after this. */
const RETURN_DELAY_MS = 500;
/** Jobs of a process that died are cleared away after about this long. */
const JOB_LOCK_MS = 10_000;
/** Of the lease: a worker that waits for a job longer than that would, once frozen, swallow the word that one has come. */
const JOB_WAIT = 0.8;
/** A deleted segment is heard no longer than this after its deletion, and what it took to read the log. */
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
  /** A connection for subscriptions to redis-queue. The kernel closes it with the process, which tells the others at once. */
  presence: Pick<Redis, 'subscribe' | 'disconnect'>;
  /** What playout has sent, and how late. */
  paced: () => Paced;
  logger: Logger;
}

/**
 * The process as one host of sessions: takes jobs while it has places, has one mailbox and one queue of segments for all of
 * them, and stands for them with one lease.
 */
export class MediaSender {
  readonly #options: MediaSenderOptions;
  readonly #workers = new Map<string, SessionWorker>();
  readonly #lease: Lease;
  readonly #admission: Admission;
  readonly #placement: Placement;
  readonly #sessionsQueue: Queue<SessionJob>;
  #sessionsWorker: Worker | undefined;
  #segmentsWorker: Worker | undefined;
  #deletionsTimer: NodeJS.Timeout | undefined;
  /** Jobs in hand: sessions hosted, and those on their way in or out. */
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
        options.logger.warn({ open }, open ? 'takes sessions again' : 'too busy for another session');
        this.#pullOrNot();
      },
      onBusy: () => void this.#rescue().catch(() => {}),
      used: () => this.#taken / config.maxSessions,
      paced: options.paced,
    });
    this.#placement = new Placement({
      capacity: config.maxSessions,
      taken: () => this.#taken,
      others: () => this.#othersThatTake(),
      waiting: () => this.#sessionsQueue.getWaitingCount(),
      publish: () => this.#lease.renew(),
      onChange: () => this.#pullOrNot(),
      intervalMs: config.heartbeatMs,
    });
    scheduler.beforeTask = (nowMs) => this.#lease.check(nowMs);
    this.#sessionsQueue = new Queue(SESSIONS_QUEUE, { connection, prefix: BULL_PREFIX });
  }

  get sessionCount(): number {
    return this.#workers.size;
  }

  get viewerCount(): number {
    let count = 0;
    for (const worker of this.#workers.values()) count += worker.viewerCount;
    return count;
  }

  /** How many sessions each avatar has here. */
  get avatarCounts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { avatar } of this.#workers.values()) counts.set(avatar, (counts.get(avatar) ?? 0) + 1);
    return counts;
  }

  /** Of the session that has the least media in memory; `undefined` when none plays. */
  get leastPrefetchedSamples(): number | undefined {
    let least: number | undefined;
    for (const { prefetchedSamples } of this.#workers.values()) {
      if (prefetchedSamples !== undefined) least = Math.min(least ?? prefetchedSamples, prefetchedSamples);
    }
    return least;
  }

  /** Whether it takes another session while it has a place. */
  get takesSessions(): boolean {
    return this.unready === undefined && this.#admission.open;
  }

  /** `undefined` when it can take and serve sessions, else why not. */
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
    this.#segmentsWorker = new Worker(segmentsQueue(id), async (job) => this.#takeSegment(job), {
      connection,
      prefix: BULL_PREFIX,
      concurrency: SEGMENT_CONCURRENCY,
      drainDelay: (JOB_WAIT * config.leaseMs) / 1000,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    this.#sessionsWorker = new Worker(SESSIONS_QUEUE, async (job) => this.#take(job), {
      connection,
      prefix: BULL_PREFIX,
      concurrency: config.maxSessions,
      drainDelay: (JOB_WAIT * config.leaseMs) / 1000,
      // A host that died is noticed by its lease, and its session gets a job of a new epoch; the old one is only cleared away.
      maxStalledCount: 0,
      lockDuration: JOB_LOCK_MS,
      stalledInterval: JOB_LOCK_MS / 2,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    for (const worker of [this.#segmentsWorker, this.#sessionsWorker]) {
      worker.on('error', (error) => logger.warn({ queue: worker.name, err: error.message }, 'queue worker error'));
      worker.on('failed', (job, error) =>
        logger.error({ queue: worker.name, session: job?.data.session, err: error.message }, 'job failed'),
      );
    }
    await Promise.all([this.#segmentsWorker.waitUntilReady(), this.#sessionsWorker.waitUntilReady()]);
    this.#admission.start();
    this.#placement.start();
    logger.info({ sender: id, capacity: config.maxSessions }, 'media-sender ready');
  }

  /** Gives all sessions to others and takes no more; the process stays until it is told to stop. */
  drain(): Promise<void> {
    this.#drained ??= this.#giveAway();
    return this.#drained;
  }

  /** Gives all sessions away and frees everything. */
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
      .catch((error: Error) => logger.warn({ err: error.message }, 'queue not removed'));
    await segments.close();
    await this.#sessionsQueue.close();
  }

  async #giveAway(): Promise<void> {
    this.#draining = true;
    this.#admission.stop();
    this.#placement.stop();
    this.#options.logger.info({ sessions: this.#workers.size }, 'draining');
    const stoppedTaking = this.#sessionsWorker?.close();
    const othersHaveRoom = await this.#othersHaveRoom();
    await Promise.all([...this.#workers.values()].map((worker) => this.#handOver(worker, othersHaveRoom)));
    await stoppedTaking;
  }

  /** Sessions that are hosted stay; others go to a media-sender with time and room for them. */
  #pullOrNot(): void {
    const worker = this.#sessionsWorker;
    const pulls = this.#admission.open && this.#placement.open;
    if (this.#draining || !worker) return;
    // A worker fetches as many as it has room for before it begins with the first: a pause alone would come too late.
    worker.concurrency = Math.max(1, this.#placement.limit);
    if (pulls === this.#pulling) return;
    this.#pulling = pulls;
    if (pulls) void worker.resume();
    else void worker.pause(true);
  }

  /**
   * Late is better than a picture that stands still: a session that has lost its host is taken by one that is too busy for a
   * new one, too.
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
      // One at a time; it may not be the last.
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

  /** A job of the `sessions` queue lasts as long as the session is hosted here. */
  async #host({ id: jobId, data, timestamp }: Job<unknown>): Promise<void> {
    const job = readRecord('job', jobId ?? SESSIONS_QUEUE, sessionJobSchema, data);
    // Its session is asked for again, under a later epoch, until somebody can read the job.
    if (!job) return;
    const { session, epoch } = job;
    const { id, registry } = this.#options;
    const stages = new Stages(timestamp);
    stages.end('session.queue');
    if (!(await registry.claim(session, epoch, id))) return;
    const claimedMs = this.#options.clock.nowMs();
    stages.end('session.lease');
    const worker = await this.#open(session, epoch, claimedMs);
    this.#tellTrace(job, stages, worker ? undefined : 'not opened');
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

  #tellTrace({ session, epoch, traceparent }: SessionJob, stages: Stages, error: string | undefined): void {
    const { id, services } = this.#options;
    stages.end('session.open');
    stages.tell(services.tracer, 'session.host', {
      parent: traceparent,
      kind: 'consumer',
      attributes: { session, epoch, sender: id },
      error,
    });
  }

  /** A session that can't be opened here and now (its media can't be read) is given back, and tried again. */
  async #open(session: string, epoch: number, claimedMs: number): Promise<SessionWorker | undefined> {
    const { id, registry, avatars, services, logger } = this.#options;
    try {
      const record = await registry.get(session);
      const avatar = (await avatars.get(record.avatar).catch(unlessUnreadable)) ?? {
        id: record.avatar,
        cutPolicy: 'now' as const,
      };
      return await SessionWorker.open(record, avatar, services, () => this.#lease.held, claimedMs);
    } catch (error) {
      logger.error({ session, epoch, err: (error as Error).message }, 'session could not be opened; given back');
      const next = await registry.release(session, id, epoch);
      if (next !== undefined) await this.#offer({ session, epoch: next }, RETURN_DELAY_MS);
      return undefined;
    }
  }

  async #offer(job: SessionJob, delayMs = 0): Promise<void> {
    const jobId = `${job.session}-${job.epoch}`;
    // Before all new ones: somebody watches already.
    const options = { jobId, delay: delayMs, lifo: true, removeOnComplete: true, removeOnFail: true };
    await this.#sessionsQueue.add(SESSIONS_QUEUE, job, options);
  }

  /** The job says that it is time to look; what is queued, and in which order, the session's own queue says. */
  async #takeSegment({ id, data, timestamp }: Job<unknown>): Promise<void> {
    const job = readRecord('job', id ?? 'segment', segmentJobSchema, data);
    if (job) this.#workers.get(job.session)?.takeSegment(job, timestamp);
  }

  /** While the log can't be read, redis-queue is away, and with it the lease: nothing is heard anyway. */
  async #followDeletions(): Promise<void> {
    try {
      const { segments, gap } = await this.#options.deletions.next();
      if (gap || segments.length > 0) this.#forget(segments, gap);
    } catch (error) {
      this.#options.logger.warn({ err: (error as Error).message }, 'reading the deletion log failed; trying again');
    }
    if (!this.#closed) this.#deletionsTimer = setTimeout(() => void this.#followDeletions(), DELETIONS_INTERVAL_MS);
  }

  /** Whatever plays or is about to play is no longer in its session's queue, which its host reads again. */
  #forget(segments: readonly string[], all: boolean): void {
    const { cache } = this.#options.services;
    if (all) cache.clear();
    else cache.forget(segments);
    for (const worker of this.#workers.values()) worker.contain(() => worker.syncQueue());
  }

  async #handle(message: ToSender): Promise<void> {
    if (message.type === 'sender.drain') return this.drain();
    await this.#workers.get(message.session)?.handle(message);
  }

  /** The next host begins where this one is; this one goes on until its viewers have left for the other. */
  async #handOver(worker: SessionWorker, othersHaveRoom: boolean): Promise<void> {
    const { id, registry, clock } = this.#options;
    await worker.release();
    const playsOn = othersHaveRoom && worker.viewerCount > 0;
    const playhead = playsOn ? worker.handOverPlayhead() : worker.playhead();
    if (playhead) await registry.savePlayhead(worker.session, worker.epoch, playhead);
    // From here: the next host counts on hearing this one for so long after it was saved, however long that took.
    const deadlineMs = clock.nowMs() + (playsOn ? HAND_OVER_MS : 0);
    const epoch = await registry.release(worker.session, id, worker.epoch);
    if (epoch !== undefined) {
      await this.#offer({ session: worker.session, epoch });
      for (let look = 1; worker.viewerCount > 0 && clock.nowMs() < deadlineMs; look++) {
        if (look % LOOKS_PER_STATE === 0 && (await this.#isOver(worker.session))) break;
        await sleep(HAND_OVER_LOOK_MS);
      }
    }
    await worker.stop('moved');
  }

  /** A session may end while it is handed over: nobody tells the host before, and what has ended must not be heard. */
  async #isOver(session: string): Promise<boolean> {
    try {
      return (await this.#options.registry.get(session)).state === 'ended';
    } catch (error) {
      return error instanceof HumancastError && error.code === 'session_not_found';
    }
  }

  /** Whether somebody can take what this one gives away; otherwise nobody needs to be waited for. */
  async #othersHaveRoom(): Promise<boolean> {
    return (await this.#othersThatTake()).some(({ sessions, capacity }) => sessions < capacity);
  }

  async #othersThatTake(): Promise<Load[]> {
    const { id, senders } = this.#options;
    const records = (await senders.list()).flatMap(({ record }) => record ?? []);
    return records.filter((record) => record.id !== id && record.accepting && !record.draining);
  }

  #beat(): Promise<boolean> {
    const { id, config, senders } = this.#options;
    return senders.beat(
      {
        id,
        mailbox: id,
        sessions: this.#taken,
        viewers: this.viewerCount,
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
  }
}
