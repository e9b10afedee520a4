import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BargeIn, type Codec, type Heard } from '@humancast/protocol';
import {
  AvatarStore,
  BULL_PREFIX,
  type Clock,
  createLogger,
  DecisionLog,
  DeletionLog,
  keys,
  loadConfig,
  NO_TRACER,
  newId,
  packGop,
  RedisMailbox,
  RedisMailSender,
  RedisMediaStore,
  SESSIONS_QUEUE,
  type SegmentManifest,
  SenderRegistry,
  SessionRegistry,
  StreamFeed,
  samplesToMs,
  segmentsQueue,
  senderSettings,
  systemClock,
  type ToSender,
  type ToSignaling,
  toSenderSchema,
  toSignalingSchema,
  VIEWERS_QUEUE,
  VoiceFeed,
  VoicePublisher,
  viewerJobId,
} from '@humancast/shared';
import { FuzzRandom, makeManifest, mutate, startRedis, type TestRedis } from '@humancast/testkit';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { noise } from '../../testing/voices.js';
import { OpusEncoder } from '../audio/opus-encoder.js';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { IdlePlaylists } from '../media/idle-playlists.js';
import { LadderWatch } from '../media/ladder-watch.js';
import { MediaCache } from '../media/media-cache.js';
import { FollowerPlayer } from '../playout/follower-player.js';
import { BLOCK_PCM } from '../playout/playout.js';
import { Scheduler } from '../playout/scheduler.js';
import { SessionPlayer } from '../playout/session-player.js';
import { Stagger } from '../playout/stagger.js';
import type { AudioPacket } from '../rtp/audio-packet.js';
import { packetizerOf } from '../rtp/packetize.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { RepairBudget } from '../rtp/repair-budget.js';
import type { TransportEvents, ViewerTransport } from '../transport/viewer-transport.js';
import { MediaSender } from './media-sender.js';
import { RoundRobin } from './round-robin.js';
import { HAND_OVER_MS } from './session-worker.js';

const logger = createLogger('test', 'fatal');
const WAIT = { timeout: 10_000, interval: 10 };
const GRACE_MS = 300;
/** Grace period of sessions without viewers that must not end. */
const UNWATCHED = { graceMs: 60_000 };

/** A viewer connection whose other end is the test. */
class FakeTransport implements ViewerTransport {
  readonly connection: string;
  codec: Codec | undefined;
  state: ViewerTransport['state'] = 'new';
  videoPackets = 0;
  audioPackets = 0;
  /** Opus packets that were sent, by timestamp. */
  readonly audio = new Map<number, string>();
  reports = 0;
  readonly repairs = new RepairBudget();
  readonly bandwidth = new BandwidthEstimator();
  readonly audioBps = 70_000;
  readonly roundTripMs = undefined;
  readonly events: TransportEvents;
  readonly maySend: () => boolean;

  constructor(connection: string, events: TransportEvents, maySend: () => boolean) {
    this.connection = connection;
    this.events = events;
    this.maySend = maySend;
  }

  async createOffer(): Promise<string> {
    return 'offer';
  }
  restartIce({ usernameFragment }: { usernameFragment: string }): string {
    return `a=ice-ufrag:to-${usernameFragment}\r\n`;
  }
  async acceptAnswer(): Promise<void> {
    this.state = 'connected';
    this.codec = 'vp8';
    this.events.connected('vp8');
  }
  async answerOffer(): Promise<string> {
    return 'answer';
  }
  sendVideo(frame: PacketizedFrame, _ticks: number, from = 0, to = frame.payloads.length): number {
    if (!this.maySend()) return 0;
    this.videoPackets++;
    return to - from;
  }
  forgetVideo(): void {}

  sendPadding(): number {
    return 0;
  }
  sendAudio({ opus, ticks }: AudioPacket): boolean {
    if (!this.maySend()) return false;
    this.audioPackets++;
    this.audio.set(ticks, opus.toString('hex'));
    return true;
  }
  sendReports(): void {
    this.reports++;
  }
  stats(): never {
    throw new Error('not used');
  }
  close(reason = 'closed'): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.events.closed(reason);
  }
}

/** @returns For each position at which both have sent audio, whether it was the same. */
function compareAudio(one: ReadonlyMap<number, string>, other: ReadonlyMap<number, string>): boolean[] {
  return [...one].flatMap(([ticks, opus]) => (other.has(ticks) ? [other.get(ticks) === opus] : []));
}

describe('MediaSender', () => {
  let server: TestRedis;
  let redis: Redis;
  let registry: SessionRegistry;
  let store: RedisMediaStore;
  let jobs: Queue;
  const running: Sender[] = [];
  const sessions: string[] = [];
  const cleanups: (() => Promise<unknown> | unknown)[] = [];

  beforeAll(async () => {
    server = await startRedis({ appendOnly: true, diskBytes: 64 * 2 ** 20 });
    redis = new Redis(server.url, { maxRetriesPerRequest: null });
    registry = new SessionRegistry(redis);
    store = new RedisMediaStore(redis);
    jobs = new Queue(SESSIONS_QUEUE, { connection: { url: server.url }, prefix: BULL_PREFIX });
    await new AvatarStore(redis).ensure('demo');
    await store.setIdlePlaylist('demo', [await load('idle', 1)]);
  });

  afterEach(async () => {
    // Nothing is left that the next test's senders could take over.
    for (const session of sessions.splice(0)) {
      const { host } = await registry.end(session, 'test over');
      if (host !== undefined)
        await new RedisMailSender<ToSender>(redis).send(host, { type: 'session.end', session, reason: 'test over' });
    }
    await Promise.all(running.splice(0).map((sender) => sender.stop()));
    await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
  });

  afterAll(async () => {
    await jobs.close();
    redis.disconnect();
    await server.stop();
  });

  /** Stores a segment of this many seconds at 25 fps with a sine as its audio. */
  async function load(role: SegmentManifest['role'], seconds: number): Promise<string> {
    const id = newId('seg');
    const gop = packGop(Array.from({ length: 25 }, (_, i) => ({ data: Buffer.alloc(50, i), keyframe: i === 0 })));
    for (let i = 0; i < seconds; i++) {
      await store.writeGop(id, 'vp8', i, gop);
      await store.writePcm(
        id,
        i,
        Buffer.from(Int16Array.from({ length: 24_000 }, (_, n) => 3000 * Math.sin(n / 9)).buffer),
      );
    }
    await store.putManifest(
      makeManifest({
        id,
        avatar: 'demo',
        role,
        fps: { num: 25, den: 1 },
        frames: 25 * seconds,
        gopFrames: 25,
        pcmSamples: 24_000 * seconds,
        durationSamples: 48_000 * seconds,
      }),
      { pinned: true },
    );
    return id;
  }

  interface Sender {
    id: string;
    sender: MediaSender;
    transports: FakeTransport[];
    players: SessionPlayer[];
    /** Number of times it has read the others' load. */
    polls(): number;
    stop(): Promise<void>;
  }

  async function startSender({
    maxSessions = 4,
    hostViewers = 20,
    graceMs = GRACE_MS,
    leaseMs = 2000,
    nowMs = () => systemClock.nowMs(),
    clock = systemClock,
    missingMediaMs = 50,
    packetCounts = () => ({ packets: 0, late: 0 }),
    hasViewerCapacity = (): boolean => true,
  } = {}): Promise<Sender> {
    const id = newId('snd');
    const config = {
      ...loadConfig(senderSettings, {}),
      maxSessions,
      viewerGraceMs: graceMs,
      sessionGraceMs: graceMs,
      heartbeatMs: 50,
      leaseMs,
    };
    const connection = { url: server.url, maxRetriesPerRequest: null };
    const scheduler = new Scheduler(systemClock, (error) => {
      throw error;
    });
    const transports: FakeTransport[] = [];
    const players: SessionPlayer[] = [];
    const metrics = {
      late: () => {},
      frameSent: () => {},
      bandwidthEstimated: () => {},
      skipped: () => {},
      interrupted: () => {},
      followed: () => {},
      missed: () => {},
      held: () => {},
      speechFinished: () => {},
      interruptAccepted: () => {},
      bargedIn: () => {},
      viewerReport: () => {},
      sessionTaken: () => {},
      sessionLeft: () => {},
    };
    const stagger = new Stagger();
    const senders = new SenderRegistry(redis);
    const presence = redis.duplicate();
    const viewersQueue = new Queue(VIEWERS_QUEUE, { connection, prefix: BULL_PREFIX });
    cleanups.push(() => viewersQueue.close());
    const encoder = () => new OpusEncoder({ bitrateBps: 32_000, complexity: 0, mode: 'celt' });
    const polls = vi.spyOn(senders, 'sample');
    const sender = new MediaSender({
      id,
      config,
      connection,
      clock,
      scheduler,
      mailbox: new RedisMailbox(id, redis.duplicate(), redis, toSenderSchema, logger),
      registry,
      senders,
      presence,
      avatars: new AvatarStore(redis),
      deletions: new DeletionLog(redis),
      logger,
      packetCounts,
      services: {
        sender: id,
        registry,
        store,
        cache: new MediaCache(store, { maxBytes: 1e8, packetizerOf }),
        ladders: new LadderWatch(store),
        live: {
          reader: { follow: () => () => {} },
          packetizerOf,
          startSamples: 0,
          reserveLimitSamples: 0,
          pauseMs: 700,
          nowMs: () => systemClock.nowMs(),
        },
        idle: new IdlePlaylists(store, systemClock, logger),
        mail: new RedisMailSender(redis),
        logger,
        tracer: NO_TRACER,
        voices: new VoicePublisher(redis),
        voiceActivity: {
          createClassifier: () => ({ isSpeech: () => true, free: () => {} }),
          hangoverMs: 200,
          bargeInsPerMinute: 60,
        },
        wallMs: Date.now,
        createTransport: ({ connection: connectionId, events, maySend }) => {
          const transport = new FakeTransport(connectionId, events, maySend);
          transports.push(transport);
          return transport;
        },
        createPlayer: (options) => {
          const player = new SessionPlayer({
            ...options,
            clock: systemClock,
            scheduler,
            metrics,
            stagger,
            encoder: encoder(),
            crossfadeSamples: 384,
            pauseSamples: 33_600,
          });
          players.push(player);
          return player;
        },
        createFollowerPlayer: ({ standIn, ...options }) =>
          new FollowerPlayer({
            ...options,
            standIn: (segment) => ({
              ...standIn(segment),
              encoder: encoder(),
              crossfadeSamples: 384,
              pauseSamples: 24_000,
            }),
            clock: systemClock,
            scheduler,
            metrics,
            silence: encoder().encode(new Int16Array(BLOCK_PCM), false),
          }),
        decisions: new DecisionLog(redis, new StreamFeed(presence, logger)),
        senderMail: new RedisMailSender(redis),
        offerViewer: async (job) => {
          await viewersQueue.add('viewer', job, {
            jobId: viewerJobId(job),
            removeOnComplete: true,
            removeOnFail: true,
          });
        },
        hasViewerCapacity,
        hostViewers,
        prefetchSamples: 2 * 48_000,
        nowMs,
        missingMediaMs,
        viewerGraceMs: graceMs,
        sessionGraceMs: graceMs,
        playheads: new RoundRobin(100),
        metrics,
      },
    });
    await sender.start();
    const started: Sender = {
      id,
      sender,
      transports,
      players,
      polls: () => polls.mock.calls.length,
      stop: () => sender.close(),
    };
    running.push(started);
    return started;
  }

  /** A viewer's signaling process: its mailbox, and the requests that connect the viewer. */
  async function viewerOf(
    session: string,
    { answers = (_offers: number) => Promise.resolve(), microphone = false } = {},
  ) {
    const viewer = newId('vw');
    const address = `sig_${randomUUID()}`;
    const received: ToSignaling[] = [];
    const mail = new RedisMailSender<ToSender>(redis);
    const mailbox = new RedisMailbox(address, redis.duplicate(), redis, toSignalingSchema, logger);
    cleanups.push(() => mailbox.close());
    const send = async (message: ToSender) => {
      const { host } = await registry.get(session);
      if (host !== undefined) await mail.send(host, message);
    };
    await mailbox.open(async (message) => {
      received.push(message);
      if (message.type === 'viewer.offer') {
        await answers(received.filter(({ type }) => type === 'viewer.offer').length);
        const answer: ToSender = {
          type: 'viewer.answer',
          session,
          viewer,
          connection: message.connection,
          sdp: 'answer',
        };
        if (message.sender !== undefined) await mail.send(message.sender, answer);
      }
    });
    const join = async () => {
      await registry.putViewer(session, viewer, address, { limit: 20, microphone });
      await askForHost(session);
      await send({ type: 'viewers.changed', session });
    };
    const leave = async () => {
      await registry.removeViewer(session, viewer);
      await send({ type: 'viewers.changed', session });
    };
    return { viewer, received, send, join, leave };
  }

  async function askForHost(session: string): Promise<void> {
    const epoch = await registry.requestHost(session);
    if (epoch !== undefined) await jobs.add(SESSIONS_QUEUE, { session, epoch }, { jobId: `${session}-${epoch}` });
  }

  async function createSession(bargeIn: BargeIn = 'off'): Promise<string> {
    const session = newId('ses');
    await registry.create(session, 'demo', { bargeIn });
    sessions.push(session);
    return session;
  }

  async function speak(session: string, segments: string[]): Promise<void> {
    const { queued, host } = await registry.speak(session, segments);
    if (host === undefined) return;
    const queue = new Queue(segmentsQueue(host), { connection: { url: server.url }, prefix: BULL_PREFIX });
    for (const item of queued) await queue.add('segment', { session, ...item });
    await queue.close();
  }

  const eventsOf = async (session: string) => registry.events(session, '0');
  const typesOf = async (session: string) => (await eventsOf(session)).map((event) => event.type);

  it('takes a session, offers to its viewer, and plays idle once connected', async () => {
    const { id, transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(5), WAIT);
    expect(transports[0]?.audioPackets).toBeGreaterThan(5);
    expect(transports[0]?.reports).toBeGreaterThan(0);
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', host: id, epoch: 1 });
    expect(await typesOf(session)).toEqual(['session.hosted', 'viewer.connected']);
  });

  it('publishes what is heard of a viewer, with what the viewer was hearing', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const heard: Heard[] = [];
    const subscriber = redis.duplicate();
    cleanups.push(() => subscriber.disconnect());
    new VoiceFeed(subscriber).follow(session, (frame) => heard.push(frame));
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.audioPackets).toBeGreaterThan(5), WAIT);
    const frame = { pcm: new Int16Array(320), concealed: false, gapMs: 0 };
    await vi.waitFor(async () => {
      transports[0]?.events.heard({ ...frame, atMs: performance.now() });
      expect(heard.at(-1)?.playing).toMatchObject({ role: 'idle', seq: 0 });
    }, WAIT);
    const last = heard.at(-1);
    expect(last).toMatchObject({ viewer: viewer.viewer, epoch: 1 });
    expect(Math.abs((last?.atMs ?? 0) - Date.now())).toBeLessThan(5000);
    expect(last?.playing?.positionMs).toBeLessThanOrEqual(1000);
  });

  it('serves a viewer that may speak itself, but not without capacity', async () => {
    let hasCapacity = false;
    const hasViewerCapacity = vi.fn(() => hasCapacity);
    await startSender({ hostViewers: 0, hasViewerCapacity });
    const session = await createSession();
    const viewer = await viewerOf(session, { microphone: true });
    await viewer.join();
    await vi.waitFor(() => expect(hasViewerCapacity).toHaveBeenCalled(), WAIT);
    hasCapacity = true;
    await viewer.join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    expect(viewer.received.filter(({ type }) => type === 'viewer.offer')).toHaveLength(1);
  });

  it('stops its speech while a viewer speaks, in a new turn, and listens and thinks', async () => {
    const states = { listening: [await load('idle', 2)], thinking: [await load('idle', 2)] };
    const nameOf = new Map(Object.entries(states).map(([name, [segment]]) => [segment, name]));
    await store.setIdleStates('demo', states);
    cleanups.push(() => store.setIdleStates('demo', {}));
    const { transports, players } = await startSender();
    const session = await createSession('stop');
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    const speech = [await load('speech', 20), await load('speech', 1)];
    await speak(session, speech);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.started'), WAIT);
    const say = (pcm: Int16Array) =>
      transports[0]?.events.heard({ pcm, concealed: false, gapMs: 0, atMs: performance.now() - 20 });
    // The first frame begins what is remembered of what was played.
    say(new Int16Array(320));
    await sleep(200);
    for (let i = 0; i < 3; i++) say(Int16Array.from(noise(320, -12, i + 1)));
    const shown = () => nameOf.get(players[0]?.playhead()?.clip.segment);
    await vi.waitFor(() => expect(shown()).toBe('listening'), WAIT);
    await vi.waitFor(() => expect(shown()).toBe('thinking'), WAIT);
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const events = await eventsOf(session);
    expect(events.find(({ type }) => type === 'session.interrupted')).toMatchObject({
      turn: 1,
      interruptedSeq: 2,
      viewer: viewer.viewer,
    });
    expect(events.filter(({ type }) => type === 'viewer.speaking' || type === 'viewer.silent')).toMatchObject([
      { type: 'viewer.speaking', viewer: viewer.viewer, playing: { seq: 1, role: 'speech' } },
      { type: 'viewer.silent', viewer: viewer.viewer },
    ]);
    const finished = events.flatMap((event) => (event.type === 'speech.finished' ? [[event.seq, event.reason]] : []));
    expect(finished.toSorted()).toEqual([
      [1, 'interrupted'],
      [2, 'dropped'],
    ]);
    await expect(registry.speak(session, speech, { turn: 0 })).rejects.toMatchObject({ code: 'interrupted' });
    // The answer, and then neither.
    await speak(session, [await load('speech', 1)]);
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    await vi.waitFor(() => expect(players[0]?.playhead()?.clip.role).toBe('idle'), WAIT);
    expect(shown()).toBeUndefined();
    // A state that the producer sets takes precedence.
    await registry.setState(session, 'thinking');
    await viewer.send({ type: 'session.state', session });
    await vi.waitFor(() => expect(shown()).toBe('thinking'), WAIT);
    for (let i = 0; i < 20; i++) say(new Int16Array(320));
    for (let i = 0; i < 3; i++) say(Int16Array.from(noise(320, -12, i + 1)));
    await vi.waitFor(
      async () => expect((await typesOf(session)).filter((type) => type === 'viewer.silent')).toHaveLength(2),
      WAIT,
    );
    expect(shown()).toBe('thinking');
    // Nothing was interrupted, because nothing was said.
    expect((await typesOf(session)).filter((type) => type === 'session.interrupted')).toHaveLength(1);
  });

  it('skips unreadable jobs and messages, and processes those that follow', async () => {
    const { id, transports } = await startSender();
    const segments = new Queue(segmentsQueue(id), { connection: { url: server.url }, prefix: BULL_PREFIX });
    cleanups.push(() => segments.close());
    const mail = new RedisMailSender<unknown>(redis);
    const random = new FuzzRandom(1);
    for (let i = 0; i < 60; i++) {
      const odd = random.pick([
        null,
        7,
        '',
        [],
        {},
        { session: 'x' },
        { session: newId('ses'), epoch: -1 },
        { type: 'x' },
      ]);
      await jobs.add(SESSIONS_QUEUE, odd as never);
      await segments.add('segment', odd);
      await mail.send(id, odd);
      const answer = {
        type: 'viewer.answer',
        session: newId('ses'),
        viewer: 'vw_0',
        connection: 'connection-1',
        sdp: 'x',
      };
      const broken = mutate(Buffer.from(JSON.stringify(answer)), random).toString();
      await redis.xadd(keys.mailbox(id), '*', 'm', broken);
    }
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(5), WAIT);
    const segment = await load('speech', 1);
    await speak(session, [segment]);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.finished'), WAIT);
  });

  it('closes a connection that throws when served, ends a session that throws, and continues the others', async () => {
    const { transports } = await startSender();
    const [broken, other] = [await createSession(), await createSession()];
    const viewers = [await viewerOf(broken), await viewerOf(broken), await viewerOf(other)] as const;
    for (const [i, viewer] of viewers.entries()) {
      await viewer.join();
      await vi.waitFor(() => expect(transports[i]?.videoPackets).toBeGreaterThan(5), WAIT);
    }
    const [first, second, third] = transports;
    const fault = () => {
      throw new Error('fault of one viewer');
    };
    Object.assign(first ?? {}, { sendAudio: fault });
    await vi.waitFor(() => expect(first?.state).toBe('closed'), WAIT);
    const sent = second?.audioPackets ?? 0;
    await vi.waitFor(() => expect(second?.audioPackets).toBeGreaterThan(sent + 10), WAIT);
    // Fails in whichever session saves its playhead next.
    const saved = vi.spyOn(SessionPlayer.prototype, 'resumption');
    cleanups.push(() => saved.mockRestore());
    saved.mockImplementationOnce(fault);
    const states = async () => Promise.all([broken, other].map(async (id) => (await registry.get(id)).state));
    await vi.waitFor(async () => expect((await states()).sort()).toEqual(['ended', 'hosted']), WAIT);
    const left = (await states())[0] === 'ended' ? third : second;
    const before = left?.audioPackets ?? 0;
    await vi.waitFor(() => expect(left?.audioPackets).toBeGreaterThan(before + 10), WAIT);
  });

  it('stops a deleted segment that plays, drops it from the queue, and plays the next one', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    await (await viewerOf(session)).join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(5), WAIT);
    const [deleted, other] = [await load('speech', 30), await load('speech', 1)];
    await speak(session, [deleted, deleted, other]);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.started'), WAIT);
    await store.delete(deleted);
    expect(await registry.dropSegment(session, deleted)).toBe(2);
    await new DeletionLog(redis).append([deleted]);
    // The next one can be heard in time only if the deleted one, 30 s long, is stopped.
    await vi.waitFor(
      async () => expect((await eventsOf(session)).filter(({ type }) => type === 'speech.finished')).toHaveLength(3),
      WAIT,
    );
    const finished = (await eventsOf(session)).flatMap((event) => (event.type === 'speech.finished' ? [event] : []));
    expect(finished).toMatchObject([
      { seq: 1, segment: deleted, reason: 'failed', cause: 'segment_deleted', interrupted: true },
      { seq: 2, segment: deleted, reason: 'dropped', cause: 'segment_deleted', positionMs: 0 },
      { seq: 3, segment: other, reason: 'finished' },
    ]);
    expect((finished[0] as { positionMs: number }).positionMs).toBeLessThan(20_000);
  });

  it('plays queued segments in order and reports each once, including those queued before it hosted the session', async () => {
    await startSender();
    const session = await createSession();
    const segments = [await load('speech', 1), await load('speech', 1), await load('speech', 1)];
    await registry.speak(session, segments.slice(0, 2));
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.started'), WAIT);
    await speak(session, segments.slice(2));
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const speech = (await eventsOf(session)).filter((event) => event.type.startsWith('speech.'));
    expect(speech.map((event) => [event.type, 'segment' in event && segments.indexOf(event.segment)])).toEqual([
      ['speech.started', 0],
      ['speech.finished', 0],
      ['speech.started', 1],
      ['speech.finished', 1],
      ['speech.started', 2],
      ['speech.finished', 2],
    ]);
    expect(speech.at(-1)).toMatchObject({ positionMs: 1000, interrupted: false, reason: 'finished' });
  });

  it('reports a segment that does not exist as failed, and plays the next one', async () => {
    await startSender();
    const session = await createSession();
    await registry.speak(session, [newId('seg'), await load('speech', 1)]);
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const finished = (await eventsOf(session)).filter((event) => event.type === 'speech.finished');
    expect(finished.map((event) => event.reason)).toEqual(['failed', 'finished']);
  });

  it.each([10, 100])('shows idle while %i queued segments are missing, and waits for them only once', async (count) => {
    let nowMs = 0;
    const { transports } = await startSender({ nowMs: () => nowMs, missingMediaMs: 3000 });
    const session = await createSession();
    const missing = Array.from({ length: count }, () => newId('seg'));
    const last = await load('speech', 1);
    await registry.speak(session, [...missing, last], { limit: 200 });
    await (await viewerOf(session)).join();
    // The wait cannot end, because its clock stands still.
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(5), WAIT);
    expect(await registry.queue(session)).toHaveLength(count + 1);
    nowMs = 3000;
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const finished = (await eventsOf(session)).flatMap((event) => (event.type === 'speech.finished' ? [event] : []));
    expect(finished.map(({ segment, reason }) => [segment, reason])).toEqual([
      ...missing.map((segment) => [segment, 'failed']),
      [last, 'finished'],
    ]);
  });

  it('plays a missing segment that returns in time, before those queued after it', async () => {
    await startSender({ nowMs: () => 0, missingMediaMs: 3000 });
    const session = await createSession();
    const [late, next] = [await load('speech', 1), await load('speech', 1)];
    const manifest = await store.getManifest(late);
    await store.delete(late);
    await registry.speak(session, [late, next]);
    await (await viewerOf(session)).join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    const again = await load('speech', 1);
    const [gop, pcm] = [await store.readGop(again, 'vp8', 0), await store.readPcm(again, 0)];
    await store.writeGop(late, 'vp8', 0, gop as Buffer);
    await store.writePcm(late, 0, pcm as Buffer);
    await store.putManifest(manifest as SegmentManifest, { pinned: true });
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const finished = (await eventsOf(session)).flatMap((event) => (event.type === 'speech.finished' ? [event] : []));
    expect(finished.map(({ segment, reason }) => [segment, reason])).toEqual([
      [late, 'finished'],
      [next, 'finished'],
    ]);
  });

  it('drops interrupted segments that are missing without waiting for them', async () => {
    const { transports } = await startSender({ nowMs: () => 0, missingMediaMs: 3000 });
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(5), WAIT);
    await speak(
      session,
      Array.from({ length: 10 }, () => newId('seg')),
    );
    const { interruptedSeq } = await registry.interrupt(session);
    await viewer.send({ type: 'session.interrupt', session, seq: interruptedSeq });
    await speak(session, [await load('speech', 1)]);
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const finished = (await eventsOf(session)).flatMap((event) => (event.type === 'speech.finished' ? [event] : []));
    expect(finished.map(({ reason }) => reason)).toEqual([...Array(10).fill('dropped'), 'finished']);
  });

  it("processes other sessions' jobs while one session's media cannot be read", async () => {
    await startSender({ nowMs: () => 0, missingMediaMs: 3000 });
    const [stuck, other] = [await createSession(), await createSession()];
    for (const session of [stuck, other]) {
      await (await viewerOf(session)).join();
      await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    }
    const unreadable = newId('seg');
    const getManifest = store.getManifest.bind(store);
    const never = vi
      .spyOn(store, 'getManifest')
      .mockImplementation((id) => (id === unreadable ? new Promise(() => {}) : getManifest(id)));
    cleanups.push(() => never.mockRestore());
    // More jobs than the worker processes at once.
    await speak(
      stuck,
      Array.from({ length: 80 }, () => unreadable),
    );
    await speak(other, [await load('speech', 1)]);
    await vi.waitFor(async () => expect(await typesOf(other)).toContain('speech.finished'), WAIT);
    expect(never).toHaveBeenCalledWith(unreadable);
    expect(await registry.queue(stuck)).toHaveLength(80);
  });

  it('reports where a segment was interrupted, drops those queued after it, and stays silent', async () => {
    await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    await speak(session, [await load('speech', 8), await load('speech', 1)]);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.started'), WAIT);
    const { interruptedSeq } = await registry.interrupt(session);
    await viewer.send({ type: 'session.interrupt', session, seq: interruptedSeq });
    await viewer.send({ type: 'session.interrupt', session, seq: interruptedSeq });
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const finished = (await eventsOf(session)).filter((event) => event.type === 'speech.finished');
    expect(finished.map((event) => [event.seq, event.reason])).toEqual([
      [2, 'dropped'],
      [1, 'interrupted'],
    ]);
    expect(finished[1]?.positionMs).toBeLessThan(8000);
  });

  it("replaces a viewer's old connection when the viewer asks for a new one", async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.state).toBe('connected'), WAIT);
    await viewer.join();
    await vi.waitFor(() => expect(transports[1]?.state).toBe('connected'), WAIT);
    await vi.waitFor(() => expect(transports[0]?.state).toBe('closed'), WAIT);
    await vi.waitFor(() => expect(transports[1]?.videoPackets).toBeGreaterThan(0), WAIT);
  });

  it('ends a session without viewers after the grace period and releases its slot', async () => {
    const { sender, transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.state).toBe('connected'), WAIT);
    await viewer.leave();
    await vi.waitFor(async () => expect((await registry.get(session)).endReason).toBe('no-viewers'), WAIT);
    expect(transports[0]?.state).toBe('closed');
    await vi.waitFor(() => expect(sender.sessionCount).toBe(0), WAIT);
  });

  it('removes a viewer whose connection has failed and who does not return', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.state).toBe('connected'), WAIT);
    transports[0]?.close('silent');
    await vi.waitFor(async () => expect((await registry.get(session)).state).toBe('ended'), WAIT);
    expect(viewer.received.map((message) => message.type)).toContain('viewer.closed');
  });

  it("plays on while Redis's disk is full, when nobody can take over, and keeps its sessions after that", async () => {
    const leaseMs = 800;
    const { id, transports } = await startSender({ leaseMs });
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    const senders = new SenderRegistry(redis);
    const lost = vi.spyOn(SessionPlayer.prototype, 'suspend');
    cleanups.push(() => lost.mockRestore());
    await server.fillDisk();
    const newcomer = startSender({ leaseMs });
    try {
      const sent = transports[0]?.videoPackets ?? 0;
      // Its heartbeats have run out and it plays on: 100 frames take five leases.
      await vi.waitFor(async () => expect((await senders.liveness([id])).get(id)?.overdue).toBe(true), WAIT);
      await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(sent + 100), WAIT);
      expect(await senders.isAlive(id)).toBe(false);
      await expect(senders.suspect(id, 'a')).rejects.toThrow('MISCONF');
      await expect(registry.release(session, id)).rejects.toThrow('MISCONF');
    } finally {
      await server.freeDisk();
    }
    // A sender that starts meanwhile waits.
    await newcomer;
    // A process that finds the heartbeats missing right after that must wait for a whole lease, and finds them renewed.
    const suspicion = await senders.suspect(id, 'b');
    await vi.waitFor(async () => expect(await senders.isAlive(id)).toBe(true), WAIT);
    expect(await senders.condemn(id, suspicion)).toBe(false);
    expect(lost).not.toHaveBeenCalled();
    expect(await registry.get(session)).toMatchObject({ host: id, epoch: 1, resumptions: 0 });
  });

  it('stops and writes nothing more when another host has taken over', async () => {
    const { id, sender, transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    expect(await registry.release(session, id)).toBe(2);
    const nextHost = newId('snd');
    expect(await registry.claim(session, 2, nextHost)).toBe(true);
    await vi.waitFor(() => expect(sender.sessionCount).toBe(0), WAIT);
    expect(transports[0]?.state).toBe('closed');
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', host: nextHost });
    expect(await typesOf(session)).toEqual(['session.hosted', 'viewer.connected', 'session.moved']);
  });

  it('sends nothing while its heartbeats fail, and continues from its position when they succeed', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    await redis.client('PAUSE', 3000, 'ALL');
    await vi.waitFor(() => expect(transports[0]?.maySend()).toBe(false), WAIT);
    const before = transports[0]?.audioPackets;
    // A keyframe request is not answered either.
    transports[0]?.events.keyframeNeeded();
    const frames = transports[0]?.videoPackets;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(transports[0]).toMatchObject({ audioPackets: before, videoPackets: frames });
    await vi.waitFor(() => expect(transports[0]?.maySend()).toBe(true), WAIT);
    await vi.waitFor(() => expect(transports[0]?.audioPackets).toBeGreaterThan(before ?? 0), WAIT);
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', epoch: 1, resumptions: 1 });
  });

  it('never sends again for a session that another host took while its lease was lost', async () => {
    const { id, sender, transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    const own = new Redis(server.url);
    cleanups.push(() => own.disconnect());
    // Others reach Redis and this process does not: its writes are held back, as by a partition.
    await own.client('PAUSE', 2500, 'WRITE');
    await vi.waitFor(() => expect(transports[0]?.maySend()).toBe(false), WAIT);
    await vi.waitFor(() => expect(sender.unready).toBe('redis-queue is not reachable'), WAIT);
    await Promise.all([registry.release(session, id), registry.claim(session, 2, newId('snd'))]);
    await vi.waitFor(() => expect(transports[0]?.state).toBe('closed'), WAIT);
    expect(transports[0]?.maySend()).toBe(false);
    expect(sender.sessionCount).toBe(0);
  });

  it("removes no viewer of the next host when its own report of a viewer's loss arrives late", async () => {
    const late = await startSender();
    const session = await createSession();
    // The viewer's connection is never established, so its grace period runs.
    const viewer = newId('vw');
    await registry.putViewer(session, viewer, 'sig_x', { limit: 20 });
    const viewerGone = registry.viewerGone.bind(registry);
    const { promise: partitionHealed, resolve: heal } = Promise.withResolvers<void>();
    const reported = vi.spyOn(registry, 'viewerGone').mockImplementationOnce(async (...args) => {
      await partitionHealed;
      return viewerGone(...args);
    });
    cleanups.push(() => reported.mockRestore());
    await askForHost(session);
    await vi.waitFor(() => expect(reported).toHaveBeenCalledOnce(), WAIT);
    const epoch = await registry.release(session, late.id);
    const next = newId('snd');
    expect(await registry.claim(session, epoch ?? 0, next)).toBe(true);
    heal();
    await vi.waitFor(() => expect(late.sender.sessionCount).toBe(0), WAIT);
    expect(await reported.mock.results[0]?.value).toBe(false);
    expect(await registry.viewers(session)).toHaveLength(1);
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', host: next });
  });

  it('releases a session that it cannot open, and takes it again once it can', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const broken = vi.spyOn(AvatarStore.prototype, 'get').mockRejectedValueOnce(new Error('connection lost'));
    cleanups.push(() => broken.mockRestore());
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', epoch: 2 });
  });

  it('hands its sessions to another sender when it is stopped, and speech continues there', async () => {
    const first = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await speak(session, [await load('speech', 4)]);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.started'), WAIT);
    const second = await startSender();
    const closing = first.sender.close();
    await vi.waitFor(() => expect(second.transports[0]?.state).toBe('connected'), WAIT);
    // Make-before-break: the viewer leaves the old host when the new one's video arrives.
    expect(first.transports[0]?.state).toBe('connected');
    first.transports[0]?.close('closed-by-viewer');
    await closing;
    await vi.waitFor(async () => expect(await registry.queue(session)).toEqual([]), WAIT);
    const types = await typesOf(session);
    expect(types.filter((type) => type === 'speech.started')).toHaveLength(1);
    expect(types.filter((type) => type === 'speech.finished')).toHaveLength(1);
    expect(types).toContain('session.moved');
  });

  it('shows the clips of the idle state, also after a hand-over, and those of the avatar without it', async () => {
    const thinking = await load('idle', 2);
    const [idle] = await store.getIdlePlaylist('demo');
    await store.setIdleStates('demo', { thinking: [thinking] });
    cleanups.push(() => store.setIdleStates('demo', {}));
    const first = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    const shown = ({ players }: Sender) => players[0]?.playhead()?.clip.segment;
    await vi.waitFor(() => expect(shown(first)).toBe(idle), WAIT);
    await registry.setState(session, 'thinking');
    await viewer.send({ type: 'session.state', session });
    await vi.waitFor(() => expect(shown(first)).toBe(thinking), WAIT);
    // The interruption changes nothing by itself.
    await registry.interrupt(session);
    const second = await startSender();
    const closing = first.sender.close();
    await vi.waitFor(() => expect(shown(second)).toBe(thinking), WAIT);
    first.transports[0]?.close('closed-by-viewer');
    await closing;
    await registry.setState(session, 'a state without clips');
    await viewer.send({ type: 'session.state', session });
    await vi.waitFor(() => expect(shown(second)).toBe(idle), WAIT);
  });

  it('goes on thinking about what a viewer said after a hand-over', async () => {
    const thinking = await load('idle', 2);
    await store.setIdleStates('demo', { thinking: [thinking] });
    cleanups.push(() => store.setIdleStates('demo', {}));
    const first = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('viewer.connected'), WAIT);
    const [transport] = first.transports;
    const say = (pcm: Int16Array) =>
      transport?.events.heard({ pcm, concealed: false, gapMs: 0, atMs: performance.now() - 20 });
    say(new Int16Array(320));
    for (let i = 0; i < 3; i++) say(Int16Array.from(noise(320, -12, i + 1)));
    const shown = ({ players }: Sender) => players[0]?.playhead()?.clip.segment;
    await vi.waitFor(() => expect(shown(first)).toBe(thinking), WAIT);
    const second = await startSender();
    const closing = first.sender.close();
    await vi.waitFor(() => expect(second.transports[0]?.state).toBe('connected'), WAIT);
    await vi.waitFor(() => expect(shown(second)).toBe(thinking), WAIT);
    transport?.close('closed-by-viewer');
    await closing;
    // The answer, and then neither.
    await speak(session, [await load('speech', 1)]);
    await vi.waitFor(async () => expect(await typesOf(session)).toContain('speech.finished'), WAIT);
    const [idle] = await store.getIdlePlaylist('demo');
    await vi.waitFor(() => expect(shown(second)).toBe(idle), WAIT);
  });

  it.each(['speech', 'idle'] as const)(
    'continues at the position of the host that hands over and plays on, in %s',
    async (role) => {
      const long = await load(role, 30);
      const playlist = await store.getIdlePlaylist('demo');
      cleanups.push(() => store.setIdlePlaylist('demo', playlist));
      if (role === 'idle') await store.setIdlePlaylist('demo', [...playlist, long]);
      const first = await startSender(UNWATCHED);
      const session = await createSession();
      const connectsAgain = Promise.withResolvers<void>();
      const viewer = await viewerOf(session, {
        answers: (offers) => (offers > 1 ? connectsAgain.promise : Promise.resolve()),
      });
      await viewer.join();
      if (role === 'speech') await speak(session, [long]);
      await vi.waitFor(() => expect(first.players[0]?.playhead()?.clip.segment).toBe(long), WAIT);
      const [old] = first.players;
      const second = await startSender(UNWATCHED);
      const closing = first.sender.close();
      await vi.waitFor(
        () => expect(viewer.received.filter(({ type }) => type === 'viewer.offer')).toHaveLength(2),
        WAIT,
      );
      const saved = (await registry.get(session)).playhead;
      expect(saved).toMatchObject({ segment: long });
      const positionMs = (player: SessionPlayer | undefined) => samplesToMs(player?.playhead()?.positionSamples ?? 0);
      await vi.waitFor(
        () => expect(positionMs(old) - samplesToMs(saved?.positionSamples ?? 0)).toBeGreaterThan(1500),
        WAIT,
      );
      connectsAgain.resolve();
      await vi.waitFor(() => expect(second.transports[0]?.state).toBe('connected'), WAIT);
      const apartMs = positionMs(old) - positionMs(second.players[0]);
      expect(second.players[0]?.playhead()?.clip.segment).toBe(long);
      // Only the time that saving took is repeated; Redis's whole milliseconds and a late timer can shift it either way.
      expect(Math.abs(apartMs)).toBeLessThan(500);
      first.transports[0]?.close('closed-by-viewer');
      await closing;
      const types = await typesOf(session);
      expect(types.filter((type) => type === 'speech.started')).toHaveLength(role === 'speech' ? 1 : 0);
    },
  );

  it('tells the next host when a viewer that has not moved yet stops the speech', async () => {
    const first = await startSender(UNWATCHED);
    const session = await createSession('stop');
    const viewer = await viewerOf(session, {
      answers: (offers) => (offers > 1 ? new Promise(() => {}) : Promise.resolve()),
    });
    await viewer.join();
    const speech = await load('speech', 30);
    await speak(session, [speech]);
    await vi.waitFor(() => expect(first.players[0]?.playhead()?.clip.segment).toBe(speech), WAIT);
    const say = (pcm: Int16Array) =>
      first.transports[0]?.events.heard({ pcm, concealed: false, gapMs: 0, atMs: performance.now() - 20 });
    // The first frame begins what is remembered of what was played.
    say(new Int16Array(320));
    const second = await startSender(UNWATCHED);
    const closing = first.sender.close();
    await vi.waitFor(() => expect(second.players[0]?.hasSpeech).toBe(true), WAIT);
    // The next host does not read it from its queue.
    const polls = vi.spyOn(registry, 'playQueue').mockReturnValue(new Promise(() => {}));
    cleanups.push(() => polls.mockRestore());
    for (let i = 0; i < 3; i++) say(Int16Array.from(noise(320, -12, i + 1)));
    await vi.waitFor(() => expect(second.players[0]?.hasSpeech).toBe(false), WAIT);
    expect((await eventsOf(session)).find(({ type }) => type === 'session.interrupted')).toMatchObject({
      turn: 1,
      viewer: viewer.viewer,
    });
    first.transports[0]?.close('closed-by-viewer');
    await closing;
  });

  it('plays on for as long as the next host assumes, even if saving the playhead is slow', async () => {
    const first = await startSender(UNWATCHED);
    const session = await createSession();
    // The viewer never moves to the next host.
    const viewer = await viewerOf(session, {
      answers: (offers) => (offers > 1 ? new Promise(() => {}) : Promise.resolve()),
    });
    await viewer.join();
    await vi.waitFor(() => expect(first.transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    await startSender(UNWATCHED);
    const savePlayhead = registry.savePlayhead.bind(registry);
    let savedMs: number | undefined;
    const slow = vi.spyOn(registry, 'savePlayhead').mockImplementation(async (...args) => {
      if (args[2].playsOnThroughSeq === undefined) return savePlayhead(...args);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const isSaved = await savePlayhead(...args);
      savedMs = performance.now();
      return isSaved;
    });
    cleanups.push(() => slow.mockRestore());
    await first.sender.close();
    expect(performance.now() - (savedMs ?? Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(HAND_OVER_MS);
  });

  it('stops sending when a session ends during its hand-over', async () => {
    let stoppedAtMs: number | undefined;
    const clock: Clock = { ...systemClock, nowMs: () => stoppedAtMs ?? systemClock.nowMs() };
    const first = await startSender({ clock });
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(first.transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    const second = await startSender();
    // The time for the hand-over never ends, because its clock stands still.
    stoppedAtMs = systemClock.nowMs();
    const closing = first.sender.close();
    await vi.waitFor(() => expect(second.transports[0]?.state).toBe('connected'), WAIT);
    // The viewer has not left the first host yet.
    expect(first.transports[0]?.state).toBe('connected');
    await registry.end(session, 'deleted');
    await closing;
    expect(first.transports[0]?.state).toBe('closed');
  });

  it('hands over and takes sessions beside senders and avatars whose records are unreadable', async () => {
    const stranger = newId('snd');
    await redis.zadd(keys.senderIndex, '1', stranger);
    await redis.set(keys.sender(stranger), '{"id":7,"load":{"sessions":1}}', 'PX', 60_000);
    const avatar = (await redis.hget(keys.avatars, 'demo')) ?? '';
    await redis.hset(keys.avatars, 'demo', JSON.stringify({ ...JSON.parse(avatar), cutPolicy: 'mid-sentence' }));
    cleanups.push(async () => void (await redis.hset(keys.avatars, 'demo', avatar)));
    const first = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(first.transports[0]?.videoPackets).toBeGreaterThan(0), WAIT);
    const second = await startSender();
    const closing = first.sender.close();
    await vi.waitFor(() => expect(second.transports[0]?.state).toBe('connected'), WAIT);
    first.transports[0]?.close('closed-by-viewer');
    await closing;
    expect(await registry.get(session)).toMatchObject({ state: 'hosted', epoch: 2 });
    await new SenderRegistry(redis).forget(stranger);
  });

  /** @returns The sender's record once it is no longer accepting. */
  async function senderRecord(id: string) {
    const records = new SenderRegistry(redis);
    await vi.waitFor(async () => expect(await records.get(id)).toMatchObject({ accepting: false }), WAIT);
    return records.get(id);
  }

  /** Waits until each has read the others' load since now: the second read from here began after the first had ended. */
  async function havePolledEachOther(senders: readonly Sender[]): Promise<void> {
    const before = senders.map(({ polls }) => polls());
    const behind = () => senders.filter(({ polls }, i) => polls() < (before[i] ?? 0) + 2);
    await vi.waitFor(() => expect(behind()).toEqual([]), WAIT);
  }

  it('spreads sessions over senders in proportion to capacity', async () => {
    const senders: Sender[] = [];
    for (let i = 0; i < 3; i++) senders.push(await startSender({ ...UNWATCHED, maxSessions: 40 }));
    await havePolledEachOther(senders);
    await Promise.all(Array.from({ length: 30 }, async () => askForHost(await createSession())));
    const counts = () => senders.map(({ sender }) => sender.sessionCount);
    await vi.waitFor(() => expect(sum(counts())).toBe(30), WAIT);
    // A tenth of the capacity apart, and one that was on its way.
    expect(Math.max(...counts()) - Math.min(...counts())).toBeLessThanOrEqual(5);
  });

  it('prefers an empty sender to a used one, and ignores full and draining ones', async () => {
    const full = await startSender({ ...UNWATCHED, maxSessions: 2 });
    for (let i = 0; i < 2; i++) await askForHost(await createSession());
    await vi.waitFor(() => expect(full.sender.sessionCount).toBe(2), WAIT);
    const used = await startSender({ ...UNWATCHED, maxSessions: 40 });
    const draining = await startSender({ ...UNWATCHED, maxSessions: 40 });
    await draining.sender.drain();
    await havePolledEachOther([used]);
    await Promise.all(Array.from({ length: 20 }, async () => askForHost(await createSession())));
    await vi.waitFor(() => expect(used.sender.sessionCount).toBe(20), WAIT);
    const empty = await startSender({ ...UNWATCHED, maxSessions: 40 });
    await havePolledEachOther([used, empty]);
    for (let more = 1; more <= 8; more++) {
      await askForHost(await createSession());
      await vi.waitFor(() => expect(used.sender.sessionCount + empty.sender.sessionCount).toBe(20 + more), WAIT);
    }
    // One for which it was already waiting when the empty sender came.
    expect(used.sender.sessionCount).toBeLessThanOrEqual(21);
    expect([full, draining].map(({ sender }) => sender.sessionCount)).toEqual([2, 0]);
  });

  it('takes sessions that a less loaded sender, alive but stuck, leaves waiting', async () => {
    const { sender } = await startSender({ ...UNWATCHED, maxSessions: 40 });
    await Promise.all(Array.from({ length: 6 }, async () => askForHost(await createSession())));
    await vi.waitFor(() => expect(sender.sessionCount).toBe(6), WAIT);
    const stuck = newId('snd');
    const numbers = { sessions: 0, viewers: 0, viewerCapacity: 0, capacity: 40, draining: false, accepting: true };
    await new SenderRegistry(redis).beat(
      { id: stuck, mailbox: stuck, ...numbers, startedAtMs: 1, hostname: 'elsewhere' },
      60_000,
    );
    cleanups.push(() => new SenderRegistry(redis).forget(stuck));
    for (let taken = 7; taken <= 9; taken++) {
      await askForHost(await createSession());
      await vi.waitFor(() => expect(sender.sessionCount).toBe(taken), WAIT);
    }
  });

  it('accepts no new session while overloaded, but accepts one that has lost its host', async () => {
    let packets = 0;
    const packetCounts = () => ({ packets: ++packets, late: packets });
    const { id, sender } = await startSender({ ...UNWATCHED, packetCounts });
    const isHosted = async (session: string) => (await registry.get(session)).state === 'hosted';
    await askForHost(await createSession());
    await vi.waitFor(() => expect(sender.takesSessions).toBe(false), WAIT);
    expect(await senderRecord(id)).toMatchObject({ sessions: 1, accepting: false });
    // The first may be the one it was already waiting for when it became overloaded.
    const [first, rejected, lost] = [await createSession(), await createSession(), await createSession()];
    await askForHost(first);
    await askForHost(rejected);
    expect(await registry.requestHost(lost)).toBe(1);
    const epoch = await registry.supersede(lost, 1);
    await jobs.add(SESSIONS_QUEUE, { session: lost, epoch }, { jobId: `${lost}-${epoch}`, lifo: true });
    await vi.waitFor(async () => expect(await isHosted(lost)).toBe(true), WAIT);
    expect(await isHosted(rejected)).toBe(false);
  });

  describe('with a session that has more viewers than its host serves', () => {
    /** Starts senders, a session, and its viewers. @returns What plays, and where. */
    async function spread(senders: number, viewerCount: number) {
      const started = await Promise.all(Array.from({ length: senders }, () => startSender({ hostViewers: 1 })));
      const session = await createSession();
      const viewers = [];
      for (let i = 0; i < viewerCount; i++) {
        const viewer = await viewerOf(session);
        await viewer.join();
        viewers.push(viewer);
      }
      const playing = () =>
        started.map(({ transports }) =>
          transports.filter(({ state, audioPackets }) => state === 'connected' && audioPackets > 5),
        );
      await vi.waitFor(() => expect(playing().flat()).toHaveLength(viewerCount), WAIT);
      const { host } = await registry.get(session);
      const hosting = started.find(({ id }) => id === host);
      if (!hosting) throw new Error('nobody hosts the session');
      return { session, viewers, started, playing, hosting, others: started.filter((other) => other !== hosting) };
    }

    it('plays the same on all media-senders, and ends it on all', async () => {
      const { session, started, playing, hosting } = await spread(3, 6);
      expect(playing().filter((transports) => transports.length > 0).length).toBeGreaterThan(1);
      await speak(session, [await load('speech', 2)]);
      const speaks = (of: Sender) => of.transports.some(({ audio }) => audio.size > 250);
      await vi.waitFor(() => expect(started.filter(speaks).length).toBeGreaterThan(1), WAIT);
      const near = hosting.transports[0]?.audio ?? new Map();
      for (const { transports } of started.filter((of) => of !== hosting && speaks(of))) {
        const same = compareAudio(near, transports[0]?.audio ?? new Map());
        // A busy machine may miss some.
        expect(same.filter((is) => is).length).toBeGreaterThan(0.8 * same.length);
        expect(same.length).toBeGreaterThan(100);
      }
      const { followers } = await registry.end(session, 'over');
      const mail = new RedisMailSender<ToSender>(redis);
      for (const sender of [hosting.id, ...followers]) {
        await mail.send(sender, { type: 'session.end', session, reason: 'over' });
      }
      await vi.waitFor(() => {
        expect(started.flatMap(({ transports }) => transports).every(({ state }) => state === 'closed')).toBe(true);
      }, WAIT);
    });

    it('moves the viewers of a follower that is stopped, and those of a host, without one of the others noticing', async () => {
      const { session, started, playing, hosting, others } = await spread(3, 6);
      const [leaving] = others.filter(({ transports }) => transports.length > 0);
      if (!leaving) throw new Error('nobody follows the session');
      const kept = hosting.transports.filter(({ state }) => state === 'connected');
      await leaving.stop();
      await vi.waitFor(() => expect(playing().flat()).toHaveLength(6), WAIT);
      expect(leaving.transports.every(({ state }) => state === 'closed')).toBe(true);
      expect(kept.every(({ state }) => state === 'connected')).toBe(true);

      const [staying] = started.filter((of) => of !== hosting && of !== leaving);
      const stayed = staying?.transports.filter(({ state }) => state === 'connected') ?? [];
      await speak(session, [await load('speech', 4)]);
      await hosting.stop();
      await vi.waitFor(() => expect(playing().flat()).toHaveLength(6), WAIT);
      expect(stayed.every(({ state }) => state === 'connected')).toBe(true);
      expect((await registry.get(session)).host).toBe(staying?.id);
      running.splice(0, running.length, ...(staying ? [staying] : []));
    });
  });

  it('answers an inspection with what it is playing', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(3), WAIT);
    const mailbox = (await registry.viewers(session))[0]?.mailbox ?? '';
    await viewer.send({ type: 'session.inspect', session, request: 'r1', replyTo: mailbox });
    await vi.waitFor(() => expect(viewer.received.some((m) => m.type === 'session.inspected')).toBe(true), WAIT);
    const inspected = viewer.received.find((message) => message.type === 'session.inspected');
    expect(inspected).toMatchObject({
      request: 'r1',
      inspection: {
        playhead: { role: 'idle' },
        held: false,
        underruns: 0,
        sending: [{ viewer: viewer.viewer, rung: 0, rungs: 1 }],
      },
    });
    expect(inspected?.inspection.nextCut?.inMs).toBeLessThan(100);
  });

  it('answers an ICE restart with its side of the new ICE session, and one for an unknown connection with nothing', async () => {
    const { transports } = await startSender();
    const session = await createSession();
    const viewer = await viewerOf(session);
    await viewer.join();
    await vi.waitFor(() => expect(transports[0]?.videoPackets).toBeGreaterThan(3), WAIT);
    const replyTo = (await registry.viewers(session))[0]?.mailbox ?? '';
    const ice = { usernameFragment: 'abcd', password: 'p'.repeat(22) };
    const restart = { type: 'viewer.restart', session, viewer: viewer.viewer, replyTo, ice } as const;
    await viewer.send({ ...restart, connection: 'no-such-connection', request: 'r1' });
    await viewer.send({ ...restart, connection: transports[0]?.connection ?? '', request: 'r2' });
    const answers = () => viewer.received.filter((message) => message.type === 'viewer.restarted');
    await vi.waitFor(() => expect(answers()).toHaveLength(2), WAIT);
    const of = { type: 'viewer.restarted', session, viewer: viewer.viewer };
    expect(answers()).toEqual([
      { ...of, request: 'r1' },
      { ...of, request: 'r2', fragment: 'a=ice-ufrag:to-abcd\r\n' },
    ]);
  });
});

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
