import { Module } from '@nestjs/common';
import { LibraryModule } from '../library/library.module.js';
import { RetentionModule } from '../retention/retention.module.js';
import { UploadModule } from '../upload/upload.module.js';
import { AvatarsController } from './avatars.controller.js';
import { SegmentsController } from './segments.controller.js';

@Module({
  imports: [LibraryModule, UploadModule, RetentionModule],
  controllers: [AvatarsController, SegmentsController],
})
export class ApiModule {}
