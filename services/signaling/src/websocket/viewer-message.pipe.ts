import { type ViewerMessage, viewerMessageSchema } from '@humancast/protocol';
import { describeIssues, HumancastError } from '@humancast/shared';
import type { PipeTransform } from '@nestjs/common';

/** Parses a viewer's message. */
export class ViewerMessagePipe implements PipeTransform<unknown, ViewerMessage> {
  /** @throws HumancastError `bad_message`, which states what is wrong where; also for an unknown type. */
  transform(message: unknown): ViewerMessage {
    const parsed = viewerMessageSchema.safeParse(message);
    if (!parsed.success) throw new HumancastError('bad_message', describeIssues(parsed.error));
    return parsed.data;
  }
}
