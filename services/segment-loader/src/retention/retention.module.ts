import {
  AvatarStore,
  DeletionLog,
  type LoaderConfig,
  type Logger,
  type Redis,
  RedisMediaStore,
  RedisPost,
  SessionRegistry,
  systemClock,
} from '@humancast/shared';
import { Module } from '@nestjs/common';
import { AFTER_DELETION_STEP, CONFIG, LOGGER, MEDIA_REDIS, QUEUE_REDIS, RETENTION_METRICS } from '../tokens.js';
import { Deletion, type DeletionParts } from './deletion.js';
import { DeletionIntents } from './deletion-intents.js';
import { Housekeeper } from './housekeeper.js';
import { MediaQuota } from './media-quota.js';
import { quotaBytes } from './memory-ceiling.js';
import type { RetentionMetrics } from './retention-metrics.js';
import { SegmentArchive } from './segment-archive.js';

@Module({
  providers: [
    {
      provide: SegmentArchive,
      useFactory: (config: LoaderConfig, store: RedisMediaStore, metrics: RetentionMetrics, logger: Logger) =>
        new SegmentArchive({ directory: config.archiveDir, store, clock: systemClock, metrics, logger }),
      inject: [CONFIG, RedisMediaStore, RETENTION_METRICS, LOGGER],
    },
    {
      provide: MediaQuota,
      useFactory: (
        config: LoaderConfig,
        store: RedisMediaStore,
        avatars: AvatarStore,
        archive: SegmentArchive,
        media: Redis,
        queue: Redis,
        metrics: RetentionMetrics,
        logger: Logger,
      ) =>
        new MediaQuota({
          store,
          avatars,
          archive,
          metrics,
          logger,
          limitBytes: () => quotaBytes(config.mediaQuotaBytes, media),
          queued: () => queuedSegments(new SessionRegistry(queue)),
        }),
      inject: [
        CONFIG,
        RedisMediaStore,
        AvatarStore,
        SegmentArchive,
        MEDIA_REDIS,
        QUEUE_REDIS,
        RETENTION_METRICS,
        LOGGER,
      ],
    },
    {
      provide: Deletion,
      useFactory: (
        store: RedisMediaStore,
        avatars: AvatarStore,
        archive: SegmentArchive,
        queue: Redis,
        logger: Logger,
        afterStep: DeletionParts['afterStep'] | null,
      ) =>
        new Deletion({
          store,
          avatars,
          archive,
          logger,
          intents: new DeletionIntents(queue),
          log: new DeletionLog(queue),
          registry: new SessionRegistry(queue),
          post: new RedisPost(queue),
          ...(afterStep && { afterStep }),
        }),
      inject: [RedisMediaStore, AvatarStore, SegmentArchive, QUEUE_REDIS, LOGGER, AFTER_DELETION_STEP],
    },
    {
      provide: Housekeeper,
      useFactory: (
        config: LoaderConfig,
        store: RedisMediaStore,
        avatars: AvatarStore,
        deletion: Deletion,
        archive: SegmentArchive,
        quota: MediaQuota,
        logger: Logger,
      ) =>
        new Housekeeper({
          store,
          avatars,
          deletion,
          archive,
          quota,
          logger,
          clock: systemClock,
          intervalMs: config.rescanMs,
        }),
      inject: [CONFIG, RedisMediaStore, AvatarStore, Deletion, SegmentArchive, MediaQuota, LOGGER],
    },
  ],
  exports: [SegmentArchive, MediaQuota, Deletion, Housekeeper],
})
export class RetentionModule {}

async function queuedSegments(registry: SessionRegistry): Promise<ReadonlySet<string>> {
  const sessions = await registry.outlines();
  const queues = await Promise.all(sessions.map(({ id }) => registry.queue(id)));
  return new Set(queues.flat().map(({ segment }) => segment));
}
