import {
  AvatarStore,
  bullConnection,
  CLOCK_RATE,
  connectRedis,
  createRegistry,
  type Logger,
  newId,
  type Redis,
  RedisMailbox,
  RedisMediaStore,
  RedisPost,
  type Registry,
  type SenderConfig,
  SenderRegistry,
  SessionRegistry,
  systemClock,
  toSenderSchema,
} from '@humancast/shared';
import { type DynamicModule, Inject, Module, type OnApplicationShutdown } from '@nestjs/common';
import { VoiceEncoder } from './audio/voice-encoder.js';
import { MediaSender } from './hosting/media-sender.js';
import type { HostServices } from './hosting/session-host.js';
import { IdleLibrary } from './media/idle-library.js';
import { MediaCache } from './media/media-cache.js';
import { SenderMetrics } from './metrics.js';
import { Phases } from './playout/phases.js';
import { Scheduler } from './playout/scheduler.js';
import { SessionPlayer } from './playout/session-player.js';
import { packetize } from './rtp/packetize.js';
import { CONFIG, LOGGER, METRICS_REGISTRY, REDIS_MEDIA, REDIS_QUEUE } from './tokens.js';
import { WebRtcTransport } from './transport/webrtc-transport.js';

/** Media is on the wire this long after the viewer stopped being heard, at most. */
const SILENCE_TIMEOUT_MS = 6000;

@Module({})
export class AppModule implements OnApplicationShutdown {
  readonly #queue: Redis;
  readonly #media: Redis;

  constructor(@Inject(REDIS_QUEUE) queue: Redis, @Inject(REDIS_MEDIA) media: Redis) {
    this.#queue = queue;
    this.#media = media;
  }

  static with(config: SenderConfig, logger: Logger): DynamicModule {
    return {
      module: AppModule,
      providers: [
        { provide: CONFIG, useValue: config },
        { provide: LOGGER, useValue: logger },
        { provide: METRICS_REGISTRY, useFactory: () => createRegistry('media-sender') },
        {
          provide: REDIS_QUEUE,
          useFactory: () =>
            connectRedis(config.redisQueueUrl, { name: 'media-sender', logger, waitForReconnect: true }),
        },
        {
          provide: REDIS_MEDIA,
          useFactory: () => connectRedis(config.redisMediaUrl, { name: 'media-sender', logger }),
        },
        {
          provide: MediaSender,
          inject: [CONFIG, LOGGER, METRICS_REGISTRY, REDIS_QUEUE, REDIS_MEDIA],
          useFactory: createMediaSender,
        },
      ],
    };
  }

  onApplicationShutdown(): void {
    this.#queue.disconnect();
    this.#media.disconnect();
  }
}

function createMediaSender(
  config: SenderConfig,
  baseLogger: Logger,
  metricsRegistry: Registry,
  queue: Redis,
  media: Redis,
): MediaSender {
  const id = newId('snd');
  const logger = baseLogger.child({ sender: id });
  const clock = systemClock;
  const scheduler = new Scheduler(clock, (error) => logger.error({ err: error }, 'playout failed'));
  const store = new RedisMediaStore(media);
  const cache = new MediaCache(store, { maxBytes: config.mediaCacheBytes, packetize });
  const phases = new Phases();
  const sender: { current?: MediaSender } = {};
  const metrics = new SenderMetrics(metricsRegistry, {
    sessions: () => sender.current?.sessionCount ?? 0,
    viewers: () => sender.current?.viewerCount ?? 0,
    capacity: config.maxSessions,
    cacheBytes: () => cache.bytes,
  });
  const registry = new SessionRegistry(queue);
  const services: HostServices = {
    sender: id,
    registry,
    store,
    cache,
    idle: new IdleLibrary(store, clock, logger),
    post: new RedisPost(queue),
    logger,
    wallMs: () => clock.wallMs(),
    createTransport: (connection, codecs, events) =>
      new WebRtcTransport(
        {
          connection,
          codecs,
          hostAddresses: config.hostAddresses,
          portRange: config.udpPortRange,
          connectTimeoutMs: config.connectTimeoutMs,
          silenceTimeoutMs: SILENCE_TIMEOUT_MS,
          logger,
        },
        events,
      ),
    createPlayer: (options) =>
      new SessionPlayer({
        ...options,
        clock,
        scheduler,
        metrics,
        phases,
        encoder: new VoiceEncoder({ bitrateBps: config.opusBitrateBps, complexity: config.opusComplexity }),
        crossfadeSamples: 2 * Math.round((config.crossfadeMs * CLOCK_RATE) / 2000),
      }),
    prefetchSamples: (config.prefetchMs * CLOCK_RATE) / 1000,
    viewerGraceMs: config.viewerGraceMs,
    playheadMs: config.playheadMs,
    metrics,
  };
  const reader = connectRedis(config.redisQueueUrl, { name: 'media-sender mailbox', logger, waitForReconnect: true });
  sender.current = new MediaSender({
    id,
    config,
    connection: bullConnection(config.redisQueueUrl, 'media-sender'),
    clock,
    scheduler,
    mailbox: new RedisMailbox(id, reader, queue, toSenderSchema, logger),
    registry,
    senders: new SenderRegistry(queue),
    avatars: new AvatarStore(queue),
    services,
    logger,
  });
  return sender.current;
}
