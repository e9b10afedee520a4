import { idSchema } from '@humancast/protocol';
import { z } from 'zod';
import { traceparentSchema } from '../tracing/traceparent.js';

/** Trace context of the request. */
const traceparent = traceparentSchema.optional();

/** A job on BullMQ's `sessions` queue: host this session. Taken by a media-sender with capacity. */
export const sessionJobSchema = z.object({ session: idSchema, epoch: z.int().min(1), traceparent });
export type SessionJob = z.infer<typeof sessionJobSchema>;

/**
 * A job on the queue of the media-sender that hosts the session: a segment was queued. The order is in the session's own
 * queue (`seq`), which outlives the host; the job only triggers reading it.
 */
export const segmentJobSchema = z.object({ session: idSchema, seq: z.int().min(1), segment: idSchema, traceparent });
export type SegmentJob = z.infer<typeof segmentJobSchema>;

/**
 * A job on BullMQ's `viewers` queue: serve this viewer by following its session. Added by the session's host when it has no
 * capacity for the viewer.
 */
export const viewerJobSchema = z.object({ session: idSchema, viewer: idSchema, attempt: z.int().min(1), traceparent });
export type ViewerJob = z.infer<typeof viewerJobSchema>;

/** @returns The job's ID, so that a second one for the same attempt has no effect while the first waits. */
export function viewerJobId({ session, viewer, attempt }: ViewerJob): string {
  return `${session}/${viewer}/${attempt}`;
}
