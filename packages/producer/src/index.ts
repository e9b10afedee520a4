export type {
  AvatarSummary,
  Interrupted,
  LiveStatus,
  NewSession,
  PixelFormat,
  QueuedSegment,
  Said,
  SampleFormat,
  Segment,
  SegmentListEntry,
  SessionDetails,
  SessionEvent,
  SessionSummary,
} from '@humancast/protocol';
export {
  type CreateSessionOptions,
  Humancast,
  type HumancastOptions,
  type InterruptOptions,
  type SpeakOptions,
} from './humancast.js';
export type { HeardFrame, ListenOptions } from './listen.js';
export { type LiveOptions, LivePush, type LiveResult } from './live-push.js';
export { type LocalErrorCode, ProducerError } from './producer-error.js';
export type { CallOptions } from './rest-client.js';
export type { EventsOptions } from './session-events.js';
