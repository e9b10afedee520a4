import { AvatarStore, type LoaderConfig, type Redis } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { LoadQueue } from '../loading/load-queue.js';
import { LoadingModule } from '../loading/loading.module.js';
import { SegmentLoader } from '../loading/segment-loader.js';
import { RetentionModule } from '../retention/retention.module.js';
import { SegmentArchive } from '../retention/segment-archive.js';
import { CONFIG, QUEUE_REDIS } from '../tokens.js';
import { UploadCommands } from './upload-commands.js';
import { Uploads } from './uploads.js';

@Module({
  imports: [LoadingModule, RetentionModule],
  providers: [
    { provide: UploadCommands, useFactory: (redis: Redis) => new UploadCommands(redis), inject: [QUEUE_REDIS] },
    {
      provide: Uploads,
      useFactory: (
        config: LoaderConfig,
        loader: SegmentLoader,
        queue: LoadQueue,
        archive: SegmentArchive,
        avatars: AvatarStore,
      ) => new Uploads({ config, loader, queue, archive, avatars }),
      inject: [CONFIG, SegmentLoader, LoadQueue, SegmentArchive, AvatarStore],
    },
  ],
  exports: [Uploads, UploadCommands],
})
export class UploadModule {}
