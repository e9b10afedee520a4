/**
 * Measures the placement of thousands of viewers of one session on dozens of media-senders: its duration, the balance, and
 * what it costs Redis.
 *
 *     npm run build && npm run bench:broadcast-fleet -- [--viewers 10000] [--senders 24] [--rate 500]
 *
 * The records, scripts, queue and placement rule are the services' own, on a real Redis (append-only, as in production). The
 * media-senders and signaling are only their logic, in this one process, so that the times include its CPU time: a fleet has
 * a process for each. A viewer is placed when its media-sender's offer would be sent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  BULL_PREFIX,
  connectRedis,
  createLogger,
  newId,
  openQueue,
  type Redis,
  RedisMailbox,
  RedisMailSender,
  SenderRegistry,
  SessionRegistry,
  type ToSender,
  toSenderSchema,
  VIEWERS_QUEUE,
  type ViewerJob,
  viewerJobId,
} from '@humancast/shared';
import { startRedis } from '@humancast/testkit';
import { Worker } from 'bullmq';
import { type Load, Placement, SAMPLED_SENDERS, viewerLoad } from '../services/media-sender/dist/hosting/placement.js';
import { reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';

const { values } = parseArgs({
  options: {
    viewers: { type: 'string', default: '10000' },
    senders: { type: 'string', default: '24' },
    rate: { type: 'string', default: '500' },
    json: { type: 'string' },
  },
});
const VIEWERS = Number(values.viewers);
const SENDERS = Number(values.senders);
/** Viewers that join a second. */
const RATE = Number(values.rate);
/** Free places of the fleet, as a share of the viewers. */
const SPARE = 0.2;
const PLACED_LIMIT_MS = 60_000;
const HEARTBEAT_MS = 250;
const LEASE_MS = 1000;
const CONCURRENCY = 32;
const SESSION_CAPACITY = 40;
/** Signaling processes that the viewers are connected to. */
const MAILBOXES = 4;
const REPORTS_AT_ONCE = 200;

if ((1 + SPARE) * (SENDERS - 1) < SENDERS) {
  console.error(
    `--senders must be at least ${Math.ceil((1 + SPARE) / SPARE)}: the others need places for a dead one's viewers`,
  );
  process.exit(2);
}
const machine = describeMachine();
const server = await startRedis({ appendOnly: true });
const logger = createLogger('bench', 'fatal');
const connections: Redis[] = [];
function connect(name: string): Redis {
  const redis = connectRedis(server.url, { name, logger, waitForReconnect: true });
  connections.push(redis);
  return redis;
}
const redis = connect('bench');
const registry = new SessionRegistry(redis);
const queue = openQueue<ViewerJob>(VIEWERS_QUEUE, redis);
const mail = new RedisMailSender<ToSender>(redis);
const session = newId('ses');
/** When each viewer joined, or lost its media-sender, and how long its placement took, ms. */
const sinceMs = new Map<string, number>();
let tookMs: number[] = [];

/** A media-sender's placement of viewers: it hosts the session or follows it. */
class SimulatedSender {
  readonly id = newId('snd');
  readonly capacity: number;
  /** Attempts of the viewers served here. */
  readonly served = new Map<string, number>();
  readonly #redis = connect(this.id);
  readonly #registry = new SessionRegistry(this.#redis);
  readonly #senders = new SenderRegistry(this.#redis);
  readonly #mailbox: RedisMailbox<ToSender>;
  readonly #worker: Worker<ViewerJob>;
  readonly #placement: Placement;
  readonly #isHost: boolean;
  #beat: NodeJS.Timeout | undefined;
  #opening = 0;
  #pulling = true;

  constructor(capacity: number, isHost: boolean) {
    this.capacity = capacity;
    this.#isHost = isHost;
    this.#mailbox = new RedisMailbox(this.id, connect(`${this.id}.mailbox`), this.#redis, toSenderSchema, logger);
    this.#worker = new Worker<ViewerJob>(VIEWERS_QUEUE, (job) => this.#take(job.data), {
      connection: connect(`${this.id}.worker`),
      prefix: BULL_PREFIX,
      concurrency: CONCURRENCY,
      drainDelay: (0.8 * LEASE_MS) / 1000,
      removeOnComplete: { count: 0 },
      autorun: false,
    });
    this.#worker.on('error', () => {});
    this.#placement = new Placement({
      capacity,
      taken: () => this.#taken,
      otherUse: () => this.#hosted / SESSION_CAPACITY,
      others: () => this.#others(),
      waiting: () => queue.getWaitingCount(),
      publish: () => this.#publish(),
      onChange: () => this.#pull(),
      intervalMs: HEARTBEAT_MS,
    });
  }

  async start(): Promise<void> {
    await this.#mailbox.open((message) => this.#handle(message));
    await this.#publish();
    this.#beat = setInterval(() => void this.#publish().catch(() => {}), HEARTBEAT_MS);
    this.#placement.start();
    void this.#worker.run();
  }

  async stop(): Promise<void> {
    clearInterval(this.#beat);
    this.#placement.stop();
    await this.#worker.close(true);
    await this.#mailbox.close();
    await this.#senders.forget(this.id);
  }

  get #hosted(): number {
    return this.#isHost ? 1 : 0;
  }

  get #taken(): number {
    return this.served.size + this.#opening;
  }

  #pull(): void {
    if (this.#placement.open === this.#pulling) return;
    this.#pulling = this.#placement.open;
    if (this.#pulling) void this.#worker.resume();
    else void this.#worker.pause(true);
  }

  async #others(): Promise<Load[]> {
    const others = (await this.#senders.sample(SAMPLED_SENDERS)).filter(({ id }) => id !== this.id);
    return others.map(viewerLoad);
  }

  async #publish(): Promise<void> {
    const { id, capacity } = this;
    const load = { sessions: this.#hosted, capacity: SESSION_CAPACITY, viewers: this.#taken, viewerCapacity: capacity };
    const record = { id, mailbox: id, ...load, draining: false, accepting: true, startedAtMs: 1, hostname: 'bench' };
    await this.#senders.beat(record, LEASE_MS);
  }

  /** The host serves a viewer itself while it has places, and otherwise offers it to the others. */
  async #handle(message: ToSender): Promise<void> {
    if (message.type !== 'viewers.changed') return;
    if (message.viewer === undefined) {
      for (const record of await this.#registry.viewers(session)) {
        if (record.sender === undefined) await this.#connectOrOffer(record);
      }
      return;
    }
    const record = await this.#registry.viewer(session, message.viewer);
    if (record) await this.#connectOrOffer(record);
  }

  async #connectOrOffer({ viewer, attempt }: { viewer: string; attempt: number }): Promise<void> {
    if (this.served.has(viewer)) return;
    if (this.#isHost && this.#taken < this.capacity && this.#placement.open) return this.#serve(viewer, attempt);
    const job = { session, viewer, attempt };
    await queue.add('viewer', job, { jobId: viewerJobId(job), removeOnComplete: true, removeOnFail: true });
  }

  async #take({ viewer, attempt }: ViewerJob): Promise<void> {
    this.#opening++;
    this.#placement.changed();
    try {
      const { placed } = await this.#registry.placeViewer(session, viewer, attempt, this.id);
      if (placed) this.#serve(viewer, attempt);
    } finally {
      this.#opening--;
    }
  }

  #serve(viewer: string, attempt: number): void {
    this.served.set(viewer, attempt);
    this.#placement.changed();
    const since = sinceMs.get(viewer);
    if (since !== undefined) tookMs.push(performance.now() - since);
    sinceMs.delete(viewer);
  }
}

/** Signaling's part of a join. */
async function join(viewer: string, mailbox: string): Promise<void> {
  sinceMs.set(viewer, performance.now());
  const { sender } = await registry.putViewer(session, viewer, mailbox, { limit: VIEWERS });
  if (sender !== undefined) await mail.send(sender, { type: 'viewers.changed', session, viewer });
}

async function infoOf(section: string, field: string): Promise<number> {
  return Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await redis.info(section))?.[1]);
}
const commandCount = () => infoOf('stats', 'total_commands_processed');
const redisCpuMs = async () => {
  const text = await redis.info('cpu');
  return ['user', 'sys'].reduce(
    (sum, kind) => sum + 1000 * Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(text)?.[1]),
    0,
  );
};
const percentile = (sorted: readonly number[], share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;

async function allPlaced(): Promise<void> {
  const deadlineMs = performance.now() + PLACED_LIMIT_MS;
  while (sinceMs.size > 0) {
    if (performance.now() > deadlineMs) throw new Error(`${sinceMs.size} viewers were not placed`);
    await sleep(20);
  }
}

const capacity = Math.ceil((VIEWERS * (1 + SPARE)) / SENDERS);
const senders = Array.from({ length: SENDERS }, (_, i) => new SimulatedSender(capacity, i === 0));
for (const sender of senders) await sender.start();
const [host] = senders;
if (!host) throw new Error('no media-senders');
await registry.create(session, 'demo');
await registry.claim(session, (await registry.requestHost(session)) ?? 0, host.id);

await sleep(1000);
const idleFrom = await commandCount();
await sleep(3000);
const idlePerSecond = ((await commandCount()) - idleFrom) / 3;

const mailboxes = Array.from({ length: MAILBOXES }, () => newId('sig'));
const memoryBefore = await infoOf('memory', 'used_memory');
const [commandsBefore, cpuBefore, startedMs] = [await commandCount(), await redisCpuMs(), performance.now()];
for (let n = 0; n < VIEWERS; n++) {
  const lateMs = (n * 1000) / RATE - (performance.now() - startedMs);
  if (lateMs > 0) await sleep(lateMs);
  void join(newId('vw'), mailboxes[n % MAILBOXES] ?? '');
}
await sleep(0);
await allPlaced();
const joiningSeconds = (performance.now() - startedMs) / 1000;
const commands = (await commandCount()) - commandsBefore - idlePerSecond * joiningSeconds;
const redisMs = (await redisCpuMs()) - cpuBefore;
const memory = (await infoOf('memory', 'used_memory')) - memoryBefore;
const joined = tookMs.toSorted((a, b) => a - b);
const counts = senders.map(({ served }) => served.size);

// Every viewer's report, which signaling forwards to the viewer's media-sender about once a second.
const report = {
  skewMs: 1,
  trimMs: { audio: 0, video: 12 },
  freezes: 0,
  framesDecoded: 30,
  packetsLost: 0,
  roundTripMs: 40,
};
const reporters = senders.flatMap(({ id, served }) => [...served.keys()].map((viewer) => ({ id, viewer })));
const cpuBeforeReports = await redisCpuMs();
for (let from = 0; from < reporters.length; from += REPORTS_AT_ONCE) {
  await Promise.all(
    reporters.slice(from, from + REPORTS_AT_ONCE).map(({ id, viewer }) => {
      return mail.send(id, { type: 'viewer.report', session, viewer, connection: 'connection-1', report });
    }),
  );
}
await sleep(500);
const reportCpuMs = (await redisCpuMs()) - cpuBeforeReports;

// A follower dies: as signaling's sweeper does once it has condemned it.
tookMs = [];
const dead = senders.pop();
if (!dead || dead === host) throw new Error('needs a follower');
await dead.stop();
const diedMs = performance.now();
for (const viewer of dead.served.keys()) sinceMs.set(viewer, diedMs);
await registry.unplaceViewers(session, dead.id);
const unplacedMs = performance.now() - diedMs;
await mail.send(host.id, { type: 'viewers.changed', session });
await allPlaced();
const moved = tookMs.toSorted((a, b) => a - b);

for (const sender of senders) await sender.stop();
await queue.close();
for (const connection of connections) connection.disconnect();
await server.stop();

const group = `${VIEWERS} viewers of one session, ${SENDERS} media-senders, ${RATE} viewers join a second`;
const mean = VIEWERS / SENDERS;
reportFigures({
  bench: 'broadcast-fleet',
  machine,
  figures: [
    { group, name: 'Join to placed, median', value: percentile(joined, 0.5), unit: 'ms', digits: 1 },
    {
      group,
      name: 'Join to placed, p99',
      value: percentile(joined, 0.99),
      unit: 'ms',
      digits: 1,
      aim: { atMost: 1000 },
    },
    {
      group,
      name: 'Fullest media-sender, of the mean',
      value: Math.max(...counts) / mean,
      unit: '×',
      digits: 2,
      aim: { atMost: 1.25 },
    },
    { group, name: 'Emptiest media-sender, of the mean', value: Math.min(...counts) / mean, unit: '×', digits: 2 },
    { group, name: 'Redis commands a viewer', value: commands / VIEWERS, unit: '', digits: 1 },
    { group, name: "Redis's CPU time a viewer", value: redisMs / VIEWERS, unit: 'ms', digits: 2 },
    { group, name: "Redis's memory a viewer", value: memory / VIEWERS, unit: 'bytes', digits: 0 },
    { group, name: "Redis's CPU time a report", value: reportCpuMs / reporters.length, unit: 'ms', digits: 3 },
    { group, name: 'Redis commands a second without joins', value: idlePerSecond, unit: '/s', digits: 0 },
    {
      group,
      name: 'A dead follower: its viewers taken',
      value: unplacedMs,
      unit: 'ms',
      digits: 0,
      note: `${moved.length} viewers`,
    },
    {
      group,
      name: 'A dead follower: all placed again',
      value: moved.at(-1) ?? 0,
      unit: 'ms',
      digits: 0,
      aim: { atMost: 3000 },
    },
  ],
  raw: { counts },
  json: values.json,
});
