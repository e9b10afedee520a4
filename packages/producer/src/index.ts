export type { Avatar, NewSession, Queued, Said, Segment, SessionState, SessionSummary } from './answers.js';
export { Humancast, type HumancastOptions, type SpeakOptions } from './humancast.js';
export type { LiveStatus, PixelFormat, SampleFormat } from './live-messages.js';
export { type LiveOptions, LivePush, type LiveResult } from './live-push.js';
export { type LocalErrorCode, ProducerError } from './producer-error.js';
export type { CallOptions } from './rest-client.js';
export type { SessionEvent } from './session-event.js';
export type { EventsOptions } from './session-events.js';
