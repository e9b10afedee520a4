import { idSchema } from '@humancast/protocol';
import { z } from 'zod';
import { traceparentSchema } from '../tracing/traceparent.js';

/** Of whoever wants it. */
const traceparent = traceparentSchema.optional();

/** On BullMQ's `sessions` queue: host this session. Taken by a media-sender with a free place. */
export const sessionJobSchema = z.object({ session: idSchema, epoch: z.int().min(1), traceparent });
export type SessionJob = z.infer<typeof sessionJobSchema>;

/**
 * On the queue of the media-sender that hosts the session: a segment waits to be played. The order is `seq`, kept in the
 * session's own queue, which outlives the host; the job says that it is time to fetch.
 */
export const segmentJobSchema = z.object({ session: idSchema, seq: z.int().min(1), segment: idSchema, traceparent });
export type SegmentJob = z.infer<typeof segmentJobSchema>;
