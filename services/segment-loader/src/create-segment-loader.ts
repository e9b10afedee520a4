import { resolve } from 'node:path';
import {
  ApiKeys,
  AvatarStore,
  systemClock as clock,
  connectRedis,
  connectSubscriber,
  DeletionLog,
  type LoaderConfig,
  type Logger,
  newId,
  Readiness,
  RedisLiveWriter,
  RedisMailSender,
  RedisMediaStore,
  RequestLimits,
  SegmentQueues,
  SessionRegistry,
  Speech,
  StreamFeed,
  type Tracer,
} from '@humancast/shared';
import { Ladders } from './ladder/ladders.js';
import { Library } from './library/library.js';
import { Backdrops } from './live/backdrops.js';
import { EncoderPool } from './live/encoder-pool.js';
import type { LiveMetrics } from './live/live-metrics.js';
import { LiveServer } from './live/live-server.js';
import { LoadQueue } from './loading/load-queue.js';
import { SegmentLoader } from './loading/segment-loader.js';
import type { LoaderMetrics } from './metrics.js';
import { Deletion, type DeletionParts } from './retention/deletion.js';
import { DeletionIntents } from './retention/deletion-intents.js';
import { Housekeeper } from './retention/housekeeper.js';
import { MediaQuota, queuedSegments } from './retention/media-quota.js';
import { quotaBytes } from './retention/memory-ceiling.js';
import type { RetentionMetrics } from './retention/retention-metrics.js';
import { SegmentArchive } from './retention/segment-archive.js';
import { UploadCommands } from './upload/upload-commands.js';
import { Uploads } from './upload/uploads.js';

export interface Surroundings {
  readonly config: LoaderConfig;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: {
    readonly loader: LoaderMetrics;
    readonly live: LiveMetrics;
    readonly retention: RetentionMetrics;
  };
  /** Node.js arguments that start a program other than the built live encoder. */
  readonly encoderCommand?: readonly string[] | undefined;
  readonly afterDeletionStep?: DeletionParts['afterStep'];
}

/** Creates the parts of a segment-loader in order of dependency and connects them. Nothing runs yet. */
export function createSegmentLoader({ config, logger, tracer, metrics, ...testing }: Surroundings) {
  const name = newId('ldr');
  const queueRedis = connectRedis(config.redisQueueUrl, { name, logger });
  const mediaRedis = connectRedis(config.redisMediaUrl, { name: `${name}.media`, logger });
  const subscriber = connectSubscriber(config.redisQueueUrl, { name: 'segment-loader events', logger });
  const registry = new SessionRegistry(queueRedis);
  const avatars = new AvatarStore(queueRedis);
  const store = new RedisMediaStore(mediaRedis);
  const mail = new RedisMailSender(queueRedis, logger);
  const segmentQueues = new SegmentQueues(queueRedis);

  const keys = new ApiKeys(config.apiKeys, config.apiKeyFile, { onProblem: (problem) => logger.warn(problem) });
  const requestLimits = new RequestLimits(config, ({ headers }) => keys.fingerprintOf(headers.authorization));

  const archive = new SegmentArchive({
    directory: config.archiveDir,
    store,
    clock,
    metrics: metrics.retention,
    logger,
  });
  const quota = new MediaQuota({
    store,
    avatars,
    archive,
    metrics: metrics.retention,
    logger,
    limitBytes: () => quotaBytes(config.mediaQuotaBytes, mediaRedis),
    queued: () => queuedSegments(registry),
  });
  const deletion = new Deletion({
    store,
    avatars,
    archive,
    logger,
    intents: new DeletionIntents(queueRedis),
    log: new DeletionLog(queueRedis),
    registry,
    mail,
    ...(testing.afterDeletionStep && { afterStep: testing.afterDeletionStep }),
  });
  const intervalMs = config.rescanMs;
  const housekeeper = new Housekeeper({ store, avatars, deletion, archive, quota, logger, clock, intervalMs });

  const queue = new LoadQueue(config.loadConcurrency);
  const loader = new SegmentLoader(store, quota, config, metrics.loader, logger);
  const ladders = new Ladders({
    store,
    avatars,
    archive,
    queue,
    limits: config,
    metrics: metrics.loader,
    logger,
    clock,
  });
  const library = new Library({ config, store, avatars, loader, queue, ladders, logger, clock });
  const uploads = new Uploads({ config, loader, queue, archive, ladders, avatars });
  const uploadCommands = new UploadCommands(queueRedis);

  const encoders = new EncoderPool(logger, testing.encoderCommand);
  const live = new LiveServer({
    config,
    keys,
    avatars,
    registry,
    speech: new Speech(registry, segmentQueues, mail),
    events: new StreamFeed(subscriber, logger),
    requestLimits,
    push: {
      config,
      store,
      archive,
      ladders,
      quota,
      live: new RedisLiveWriter(mediaRedis),
      backdrops: new Backdrops(resolve(config.mediaDir), config),
      takeEncoder: () => encoders.take(),
      metrics: metrics.live,
      clock,
      logger,
      tracer,
    },
  });

  for (const work of [uploads, library, live, ladders]) deletion.watch(work);
  // A database that reconnects may be empty.
  for (const redis of [queueRedis, mediaRedis]) redis.on('ready', () => library.poke());
  mediaRedis.on('ready', () => housekeeper.storeCameBack());
  mediaRedis.on('ready', () => ladders.look());
  metrics.live.watch(() => live.pushCount);
  metrics.loader.watch({
    uploads: () => uploads.inProgressCount,
    running: () => queue.running,
    waitingLadders: () => ladders.waiting,
    waitingUploads: () => queue.waiting('upload'),
    waitingLibrary: () => queue.waiting('idle') + queue.waiting('library'),
    problems: () => library.problemCount,
  });
  return {
    requestLimits,
    readiness: new Readiness({ requires: { 'redis-queue': queueRedis, 'redis-media': mediaRedis } }),
    live,
    encoders,
    library,
    ladders,
    uploads,
    housekeeper,
    /** Providers injected into controllers and guards. */
    injected: [archive, avatars, deletion, keys, library, store, uploadCommands, uploads],
    close: async () => {
      await segmentQueues.close();
      for (const redis of [subscriber, queueRedis, mediaRedis]) redis.disconnect();
    },
  };
}
