import { hostname } from 'node:os';
import {
  BULL_PREFIX,
  connectRedis,
  createLogger,
  newId,
  openQueue,
  type Redis,
  RedisMailbox,
  RedisMailSender,
  SESSIONS_QUEUE,
  type SegmentJob,
  SenderRegistry,
  type SessionJob,
  SessionRegistry,
  segmentsQueue,
  type ToSender,
  type ToSignaling,
  toSenderSchema,
  VIEWERS_QUEUE,
  type ViewerJob,
  type ViewerRecord,
  viewerJobId,
} from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { type Queue, Worker } from 'bullmq';

const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n';

export interface FakeSenderOptions {
  /** Capacity: the number of concurrent sessions. */
  capacity?: number;
  /** Whether it takes sessions. */
  takesSessions?: boolean;
  /** Capacity for viewers of each hosted session, which spreads beyond it. Default: unlimited. */
  viewerPlaces?: number;
  /** Whether it takes viewers of sessions that others host. Default: false. */
  takesViewers?: boolean;
  /** Whether it reports that its load permits another session. Default: true. */
  accepting?: boolean;
  /** Whether it answers ICE restarts. Default: true. */
  restarts?: boolean;
  /** Response to a viewer that it has not served yet. Default: makes an offer, or answers a WHEP viewer's. */
  serve?: (sender: FakeSender, session: string, viewer: ViewerRecord, epoch: number) => Promise<void>;
}

/** A media-sender without media: takes leases, reads its mailbox and answers, using the same classes as the real one. */
export class FakeSender {
  readonly id = newId('snd');
  readonly registry: SessionRegistry;
  /** All messages received from signaling. */
  readonly mail: ToSender[] = [];
  readonly segmentJobs: SegmentJob[] = [];
  readonly #redis: Redis;
  readonly #senders: SenderRegistry;
  readonly #mail: RedisMailSender<ToSignaling>;
  readonly #mailbox: RedisMailbox<ToSender>;
  readonly #workers: Worker[] = [];
  readonly #connections: Redis[] = [];
  readonly #options: FakeSenderOptions;
  /** Hosted sessions and their epochs; `end` completes the job. */
  readonly #hosted = new Map<string, { epoch: number; end: () => void }>();
  /** Sessions that it follows, and the epochs of their hosts. */
  readonly #followed = new Map<string, number>();
  readonly #viewersQueue: Queue<ViewerJob>;
  /** Attempts served, by viewer. */
  readonly #served = new Map<string, number>();
  #beat: NodeJS.Timeout | undefined;

  private constructor(url: string, options: FakeSenderOptions) {
    this.#options = options;
    this.#redis = this.#connect(url);
    this.registry = new SessionRegistry(this.#redis);
    this.#senders = new SenderRegistry(this.#redis);
    this.#mail = new RedisMailSender(this.#redis);
    this.#viewersQueue = openQueue(VIEWERS_QUEUE, this.#redis);
    const logger = createLogger('fake-sender', 'silent');
    this.#mailbox = new RedisMailbox(this.id, this.#connect(url), this.#redis, toSenderSchema, logger);
  }

  static async start(url: string, options: FakeSenderOptions = {}): Promise<FakeSender> {
    const sender = new FakeSender(url, options);
    await sender.#mailbox.open((message) => sender.#onMail(message));
    await sender.#sendHeartbeat();
    sender.#beat = setInterval(() => void sender.#sendHeartbeat().catch(() => {}), 200);
    if (options.takesSessions !== false) {
      sender.#work<SessionJob>(url, SESSIONS_QUEUE, options.capacity ?? 100, (job) => sender.#host(job));
    }
    if (options.takesViewers) sender.#work<ViewerJob>(url, VIEWERS_QUEUE, 1, (job) => sender.#follow(job));
    sender.#work<SegmentJob>(url, segmentsQueue(sender.id), 1, async (job) => {
      sender.segmentJobs.push(job);
    });
    return sender;
  }

  hosts(session: string): boolean {
    return this.#hosted.has(session);
  }

  follows(session: string): boolean {
    return this.#followed.has(session);
  }

  epochOf(session: string): number {
    const epoch = this.#hosted.get(session)?.epoch ?? this.#followed.get(session);
    if (epoch === undefined) throw new Error(`neither hosts nor follows ${session}`);
    return epoch;
  }

  /** @returns The first message of a type, already received or awaited. */
  received<T extends ToSender['type']>(
    type: T,
    matches: (message: Extract<ToSender, { type: T }>) => boolean = () => true,
  ): Promise<Extract<ToSender, { type: T }>> {
    return waitFor(`${type} at the media-sender`, () =>
      this.mail.find((item): item is Extract<ToSender, { type: T }> => item.type === type && matches(item as never)),
    );
  }

  /** @returns The viewers placed here. */
  placed(session: string): Promise<ViewerRecord[]> {
    return this.registry.placedViewers(session, this.id);
  }

  /** Replies to the sender of a request. */
  reply(mailbox: string, message: ToSignaling): Promise<boolean> {
    return this.#mail.send(mailbox, message);
  }

  send(viewer: ViewerRecord, message: ToSignaling): Promise<boolean> {
    return this.reply(viewer.mailbox, message);
  }

  async viewer(session: string, id: string): Promise<ViewerRecord> {
    const found = (await this.registry.viewers(session)).find(({ viewer }) => viewer === id);
    if (!found) throw new Error(`no viewer ${id}`);
    return found;
  }

  async offer(session: string, viewer: ViewerRecord, epoch: number): Promise<void> {
    const connection = connectionOf(viewer, epoch);
    const common = { session, viewer: viewer.viewer, connection, epoch, sdp: SDP, sender: this.id };
    if (viewer.offer === undefined) await this.send(viewer, { type: 'viewer.offer', ...common, codec: 'vp8' });
    else await this.send(viewer, { type: 'viewer.answered', ...common });
  }

  /** Stops without notifying anyone, as in a crash; its lease expires. */
  async crash(): Promise<void> {
    clearInterval(this.#beat);
    for (const { end } of this.#hosted.values()) end();
    await Promise.all([...this.#workers.map((worker) => worker.close(true)), this.#viewersQueue.close()]);
    for (const connection of this.#connections) connection.disconnect();
  }

  async stop(): Promise<void> {
    await this.crash();
    await this.#mailbox.close();
  }

  async #host({ session, epoch }: SessionJob): Promise<void> {
    if (!(await this.registry.claim(session, epoch, this.id))) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hosted.set(session, { epoch, end: resolve });
    await this.#serve(session);
    await promise;
    this.#hosted.delete(session);
  }

  async #follow({ session, viewer, attempt }: ViewerJob): Promise<void> {
    const { placed, epoch } = await this.registry.placeViewer(session, viewer, attempt, this.id);
    if (!placed) return;
    this.#followed.set(session, epoch);
    await this.#serve(session);
  }

  async #serve(session: string): Promise<void> {
    const epoch = this.epochOf(session);
    const serve = this.#options.serve ?? ((sender, ...rest) => sender.offer(...rest));
    const hosted = this.hosts(session) ? await this.registry.viewers(session) : [];
    const own = hosted.filter(({ sender }) => sender === undefined);
    const { viewerPlaces = Number.POSITIVE_INFINITY } = this.#options;
    const places = own.filter(({ viewer }) => this.#served.has(viewer)).length;
    let free = viewerPlaces - places;
    for (const viewer of [...own, ...(await this.registry.placedViewers(session, this.id))]) {
      if ((this.#served.get(viewer.viewer) ?? 0) >= viewer.attempt) continue;
      if (viewer.sender === undefined && !this.#served.has(viewer.viewer) && free-- <= 0) {
        await this.#spread({ session, viewer: viewer.viewer, attempt: viewer.attempt });
        continue;
      }
      this.#served.set(viewer.viewer, viewer.attempt);
      await serve(this, session, viewer, epoch);
    }
  }

  async #spread(job: ViewerJob): Promise<void> {
    await this.#viewersQueue.add('viewer', job, {
      jobId: viewerJobId(job),
      removeOnComplete: true,
      removeOnFail: true,
    });
  }

  async #onMail(message: ToSender): Promise<void> {
    this.mail.push(message);
    if (message.type === 'viewers.changed' && (this.hosts(message.session) || this.follows(message.session))) {
      await this.#serve(message.session);
    }
    if (message.type === 'viewer.restart' && this.#options.restarts !== false) {
      const { session, viewer, request, replyTo, ice } = message;
      const fragment = `a=ice-lite\r\na=ice-ufrag:to-${ice.usernameFragment}\r\n`;
      const known = this.#served.has(viewer) ? { fragment } : {};
      await this.reply(replyTo, { type: 'viewer.restarted', session, viewer, request, ...known });
    }
    if (message.type === 'session.end') {
      this.#hosted.get(message.session)?.end();
      this.#followed.delete(message.session);
    }
  }

  async #sendHeartbeat(): Promise<void> {
    const { id } = this;
    const { capacity = 100, accepting = true } = this.#options;
    const numbers = { sessions: this.#hosted.size, capacity, viewers: 0, viewerCapacity: 0, accepting };
    await this.#senders.beat(
      { id, mailbox: id, ...numbers, draining: false, startedAtMs: 1, hostname: hostname() },
      1000,
    );
  }

  #work<T>(url: string, queue: string, concurrency: number, run: (job: T) => Promise<void>): void {
    const worker = new Worker<T>(queue, (job) => run(job.data), {
      connection: this.#connect(url),
      prefix: BULL_PREFIX,
      concurrency,
    });
    worker.on('error', () => {});
    this.#workers.push(worker);
  }

  #connect(url: string): Redis {
    const logger = createLogger('fake-sender', 'silent');
    const redis = connectRedis(url, { name: this.id, logger, waitForReconnect: true });
    this.#connections.push(redis);
    return redis;
  }
}

/** @returns The connection's id: the same for the same attempt, as with a real host. */
function connectionOf({ viewer, attempt }: Pick<ViewerRecord, 'viewer' | 'attempt'>, epoch: number): string {
  return `${viewer.replace('_', '-')}-${epoch}-${attempt}`;
}
