import {
  AvatarStore,
  BULL_PREFIX,
  bullConnection,
  CLOCK_RATE,
  connectRedis,
  connectSubscriber,
  createRegistry,
  DecisionLog,
  DeletionLog,
  type Logger,
  newId,
  RedisLiveReader,
  RedisMailbox,
  RedisMailSender,
  RedisMediaStore,
  type Registry,
  type SenderConfig,
  SenderRegistry,
  SessionRegistry,
  StreamFeed,
  samplesToMs,
  systemClock,
  type Tracer,
  toSenderSchema,
  VIEWERS_QUEUE,
  type ViewerJob,
  VoicePublisher,
  viewerJobId,
} from '@humancast/shared';
import { Queue } from 'bullmq';
import { OpusEncoder, type OpusEncoderOptions } from './audio/opus-encoder.js';
import { MediaSender } from './hosting/media-sender.js';
import { RoundRobin } from './hosting/round-robin.js';
import type { WorkerServices } from './hosting/session-worker.js';
import { IdlePlaylists } from './media/idle-playlists.js';
import { LadderWatch } from './media/ladder-watch.js';
import { MediaCache } from './media/media-cache.js';
import { SenderMetrics } from './metrics.js';
import { FollowerPlayer } from './playout/follower-player.js';
import { BLOCK_PCM } from './playout/playout.js';
import { Scheduler } from './playout/scheduler.js';
import { SessionPlayer } from './playout/session-player.js';
import { Stagger } from './playout/stagger.js';
import { SpeechClassifier } from './receive/speech-classifier.js';
import { packetizerOf } from './rtp/packetize.js';
import type { DatagramProblem } from './transport/datagram-problem.js';
import { MediaSockets } from './transport/media-sockets.js';
import { choosePacketPath } from './transport/packet-path.js';
import { Traffic } from './transport/traffic.js';
import { WebRtcTransport } from './transport/webrtc-transport.js';

/** Maximum wait for missing media, ms: an emptied store is refilled from the watched folder within this time. */
const MISSING_MEDIA_MS = 3000;

/** A job completes when the viewer is placed. */
const VIEWER_JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

export interface MediaSenderParts {
  readonly sender: MediaSender;
  /** To be opened before the sender is started. */
  readonly sockets: MediaSockets;
  readonly metrics: Registry;
  /** Closes the UDP sockets and the Redis connections, after the sender has been closed. */
  disconnect(): void;
}

/** Creates a media-sender and its dependencies; `sender.start()` starts it. */
export function createMediaSender(config: SenderConfig, baseLogger: Logger, tracer: Tracer): MediaSenderParts {
  const metricsRegistry = createRegistry('media-sender');
  const waiting = { name: 'media-sender', logger: baseLogger, waitForReconnect: true };
  const queue = connectRedis(config.redisQueueUrl, waiting);
  const media = connectRedis(config.redisMediaUrl, { name: 'media-sender', logger: baseLogger });
  const subscriber = connectSubscriber(config.redisMediaUrl, { name: 'media-sender live', logger: baseLogger });
  const id = newId('snd');
  const logger = baseLogger.child({ sender: id });
  const clock = systemClock;
  const store = new RedisMediaStore(media);
  const cache = new MediaCache(store, { maxBytes: config.mediaCacheBytes, packetizerOf });
  const stagger = new Stagger();
  const traffic = new Traffic();
  const packetPath = choosePacketPath(config.packetPath);
  logger.info({ packetPath: packetPath.kind, reason: packetPath.reason }, 'packet path chosen');
  const onError = (error: unknown) => logger.error({ err: error }, 'playout failed');
  const scheduler = new Scheduler(clock, onError, undefined, packetPath.sockets);
  const sender: { current?: MediaSender } = {};
  const voices = new VoicePublisher(media);
  const metrics = new SenderMetrics(metricsRegistry, {
    sessions: () => sender.current?.sessionCount ?? 0,
    viewers: () => sender.current?.viewerCount ?? 0,
    sending: () => sender.current?.sending() ?? [],
    avatars: () => sender.current?.avatarCounts ?? new Map(),
    capacity: config.maxSessions,
    viewerCapacity: config.maxViewers,
    followed: () => sender.current?.followedCount ?? 0,
    takesSessions: () => sender.current?.takesSessions ?? false,
    prefetchedMs: () => {
      const samples = sender.current?.leastPrefetchedSamples;
      return samples === undefined ? undefined : samplesToMs(samples);
    },
    cache,
    traffic: () => traffic.totals(),
    packetPath: packetPath.kind,
    voicesDropped: () => voices.dropped,
  });
  const onProblem = (problem: DatagramProblem) => metrics.datagramDropped(problem);
  const sockets = new MediaSockets({
    hostAddresses: config.hostAddresses,
    announcedAddresses: config.announcedAddresses,
    portRange: config.udpPortRange,
    bufferBytes: config.udpBufferBytes,
    packetPath,
    onProblem,
    logger,
  });
  const registry = new SessionRegistry(queue);
  const presence = connectSubscriber(config.redisQueueUrl, { name: 'media-sender presence', logger });
  const connection = bullConnection(config.redisQueueUrl, 'media-sender', queue);
  const viewersQueue = new Queue<ViewerJob>(VIEWERS_QUEUE, { connection, prefix: BULL_PREFIX });
  const opus: OpusEncoderOptions = {
    bitrateBps: config.opusBitrateBps,
    complexity: config.opusComplexity,
    mode: config.opusMode,
  };
  const crossfadeSamples = 2 * Math.round((config.crossfadeMs * CLOCK_RATE) / 2000);
  const pauseSamples = (config.livePauseMs * CLOCK_RATE) / 1000;
  const silence = new OpusEncoder(opus).encode(new Int16Array(BLOCK_PCM), false);
  const services: WorkerServices = {
    sender: id,
    registry,
    store,
    cache,
    ladders: new LadderWatch(store),
    live: {
      reader: new RedisLiveReader(media, new StreamFeed(subscriber, logger)),
      packetizerOf,
      startSamples: (config.liveStartMs * CLOCK_RATE) / 1000,
      reserveLimitSamples: (config.liveReserveMs * CLOCK_RATE) / 1000,
      pauseMs: config.livePauseMs,
      nowMs: () => clock.nowMs(),
    },
    idle: new IdlePlaylists(store, clock, logger),
    mail: new RedisMailSender(queue, logger),
    logger,
    tracer,
    voices,
    voiceActivity: {
      createClassifier: () => new SpeechClassifier(),
      hangoverMs: config.voiceHangoverMs,
      bargeInsPerMinute: config.bargeInsPerMinute,
    },
    wallMs: () => clock.wallMs(),
    nowMs: () => clock.nowMs(),
    createTransport: ({ connection, codecs, h264Level, events, isPlayer, microphone, maySend, logger: ofSession }) =>
      traffic.watch(
        events,
        (watched) =>
          new WebRtcTransport(
            {
              connection,
              codecs,
              h264Level,
              sockets,
              connectTimeoutMs: config.connectTimeoutMs,
              silenceTimeoutMs: isPlayer ? config.playerSilenceMs : config.viewerSilenceMs,
              onProblem,
              maySend,
              microphone,
              logger: ofSession,
            },
            watched,
          ),
      ),
    createPlayer: (options) =>
      new SessionPlayer({
        ...options,
        clock,
        scheduler,
        metrics,
        stagger,
        encoder: new OpusEncoder(opus),
        crossfadeSamples,
        pauseSamples,
      }),
    createFollowerPlayer: ({ standIn, ...options }) =>
      new FollowerPlayer({
        ...options,
        clock,
        scheduler,
        metrics,
        silence,
        standIn: (segment) => ({ ...standIn(segment), encoder: new OpusEncoder(opus), crossfadeSamples, pauseSamples }),
      }),
    decisions: new DecisionLog(queue, new StreamFeed(presence, logger)),
    senderMail: new RedisMailSender(queue, logger),
    offerViewer: async (job) => {
      await viewersQueue.add('viewer', job, { ...VIEWER_JOB_OPTIONS, jobId: viewerJobId(job) });
    },
    hasViewerCapacity: () => sender.current?.hasViewerCapacity ?? false,
    hostViewers: config.hostViewers,
    prefetchSamples: (config.prefetchMs * CLOCK_RATE) / 1000,
    missingMediaMs: MISSING_MEDIA_MS,
    viewerGraceMs: config.viewerGraceMs,
    sessionGraceMs: config.sessionGraceMs,
    playheads: new RoundRobin(config.playheadMs),
    metrics,
  };
  const reader = connectRedis(config.redisQueueUrl, { name: 'media-sender mailbox', logger, waitForReconnect: true });
  sender.current = new MediaSender({
    id,
    config,
    connection,
    clock,
    scheduler,
    mailbox: new RedisMailbox(id, reader, queue, toSenderSchema, logger),
    registry,
    senders: new SenderRegistry(queue),
    avatars: new AvatarStore(queue),
    deletions: new DeletionLog(queue),
    services,
    presence,
    packetCounts: () => metrics.packetCounts,
    logger,
  });
  return {
    sender: sender.current,
    sockets,
    metrics: metricsRegistry,
    disconnect: () => {
      void viewersQueue.close().catch(() => {});
      sockets.close();
      for (const redis of [queue, media, subscriber]) redis.disconnect();
    },
  };
}
