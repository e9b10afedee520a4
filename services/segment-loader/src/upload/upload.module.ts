import type { LoaderConfig } from '@humancast/shared';
import { Module } from '@nestjs/common';
import { LoadQueue } from '../loading/load-queue.js';
import { LoadingModule } from '../loading/loading.module.js';
import { SegmentLoader } from '../loading/segment-loader.js';
import { CONFIG } from '../tokens.js';
import { Uploads } from './uploads.js';

@Module({
  imports: [LoadingModule],
  providers: [
    {
      provide: Uploads,
      useFactory: (config: LoaderConfig, loader: SegmentLoader, queue: LoadQueue) =>
        new Uploads({ config, loader, queue }),
      inject: [CONFIG, SegmentLoader, LoadQueue],
    },
  ],
  exports: [Uploads],
})
export class UploadModule {}
