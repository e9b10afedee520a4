export type { SessionEvent, ViewerReport } from '@humancast/protocol';
export { type ConnectOptions, connect } from './connect.js';
export type { ClientError } from './errors.js';
export { LipSyncTrim, type LipSyncTrimOptions, type SyncSample, type SyncTargets } from './lip-sync-trim.js';
export type { TrackPair } from './messages.js';
export {
  Microphone,
  MicrophoneError,
  type MicrophoneEvents,
  type MicrophoneProblem,
  type MicrophoneState,
} from './microphone.js';
export type { ClientStats } from './report.js';
export { Session, type SessionEvents, type SessionState } from './session.js';
