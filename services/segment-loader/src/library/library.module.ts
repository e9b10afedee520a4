import { AvatarStore, type LoaderConfig, type Logger, RedisMediaStore, systemClock } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { LoadQueue } from '../loading/load-queue.js';
import { LoadingModule } from '../loading/loading.module.js';
import { SegmentLoader } from '../loading/segment-loader.js';
import { CONFIG, LOGGER } from '../tokens.js';
import { Library } from './library.js';

@Module({
  imports: [LoadingModule],
  providers: [
    {
      provide: Library,
      useFactory: (
        config: LoaderConfig,
        store: RedisMediaStore,
        avatars: AvatarStore,
        loader: SegmentLoader,
        queue: LoadQueue,
        logger: Logger,
      ) => new Library({ config, store, avatars, loader, queue, logger, clock: systemClock }),
      inject: [CONFIG, RedisMediaStore, AvatarStore, SegmentLoader, LoadQueue, LOGGER],
    },
  ],
  exports: [Library],
})
export class LibraryModule {}
