/**
 * All errors that callers may see: a stable code, an HTTP status and a title. Codes never change once released, because
 * clients branch on them. `docs/errors.md` is generated from this table, and a test checks that the two agree.
 */
export const ERRORS = {
  // requests
  bad_request: { status: 400, title: 'The request is malformed' },
  bad_message: { status: 400, title: 'The message is not valid JSON or of an unknown type' },
  message_too_large: { status: 413, title: 'Message size limit exceeded' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was already used for a different request' },
  rate_limited: { status: 429, title: 'Request rate limit exceeded' },
  too_many_connections: { status: 429, title: 'Connection limit of this caller reached' },
  unauthorized: { status: 401, title: 'Credentials are missing or invalid' },
  token_expired: { status: 401, title: 'The session token has expired' },
  forbidden: { status: 403, title: 'The credentials do not permit this operation' },
  not_found: { status: 404, title: 'No resource exists at this address' },
  method_not_allowed: { status: 405, title: 'Method not allowed for this resource' },
  unknown_host: { status: 421, title: 'The Host header does not name this service' },
  unsupported_media_type: { status: 415, title: 'Unsupported content type' },
  // avatars, segments, sessions
  record_unreadable: { status: 409, title: 'The stored record was written by an incompatible version' },
  avatar_not_found: { status: 404, title: 'No avatar has this id' },
  avatar_has_no_idle: { status: 409, title: 'The avatar has no playable idle clip yet' },
  segment_not_found: { status: 404, title: 'No segment has this id' },
  segment_not_ready: { status: 409, title: 'The segment failed to load and cannot be played' },
  segment_wrong_avatar: { status: 409, title: 'The segment belongs to a different avatar than the session' },
  session_not_found: { status: 404, title: 'No session has this id' },
  session_ended: { status: 410, title: 'The session has ended' },
  session_limit: { status: 503, title: 'Session limit reached' },
  interrupted: { status: 409, title: 'The session was interrupted after the turn of this request' },
  queue_full: { status: 409, title: "The session's queue is full" },
  viewer_limit: { status: 409, title: 'Viewer limit of the session reached' },
  no_capacity: { status: 503, title: 'All media-senders are at capacity' },
  sender_not_found: { status: 404, title: 'No media-sender has this id' },
  managed_by_folder: {
    status: 409,
    title: 'The resource is managed by the watched folder and can only be changed there',
  },
  // media files
  upload_too_large: { status: 413, title: 'Upload size limit exceeded' },
  upload_incomplete: { status: 400, title: 'The upload ended prematurely' },
  too_many_uploads: { status: 503, title: 'Upload limit reached' },
  media_unreadable: { status: 422, title: 'The file is not a readable media file' },
  media_no_video: { status: 422, title: 'The file has no video' },
  media_truncated: { status: 422, title: 'The file is truncated' },
  media_corrupt: { status: 422, title: 'Parts of the file could not be decoded' },
  media_undecodable: { status: 422, title: 'The file contains a stream that cannot be decoded' },
  media_joined: {
    status: 422,
    title: 'The file consists of several joined files, of which only the first is readable',
  },
  media_timestamps: { status: 422, title: 'The timestamps of the file are discontinuous too often' },
  media_too_large: { status: 422, title: 'Frame size limit exceeded' },
  media_too_small: { status: 422, title: 'The frame is too small to be encoded' },
  library_entry_unusable: { status: 422, title: 'An entry of the watched folder cannot be used' },
  text_unreadable: { status: 422, title: 'The text is not WebVTT, or exceeds its limits' },
  composition_input_missing: { status: 422, title: 'An input of the composition is missing' },
  composition_length_unknown: { status: 422, title: 'The length of the composition is undefined' },
  media_too_long: { status: 422, title: 'Duration limit exceeded' },
  encoder_failed: { status: 500, title: 'The encoder stopped unexpectedly' },
  media_store_full: { status: 507, title: 'The media store is full' },
  disk_full: { status: 507, title: 'The disk is full' },
  // live pushes
  start_required: { status: 409, title: 'The first message of a live push must be `start`' },
  already_started: { status: 409, title: 'The live push has already started' },
  live_frame_size: { status: 400, title: 'The size of a frame differs from the one announced' },
  live_frame_corrupt: { status: 422, title: 'A frame could not be decoded' },
  live_audio_size: { status: 400, title: 'An audio message does not contain a whole number of samples' },
  live_empty: { status: 422, title: 'The live push ended without any video or audio' },
  live_overloaded: { status: 503, title: 'Frames arrive faster than they can be encoded' },
  too_many_pushes: { status: 503, title: 'Live push limit reached' },
  producer_gone: { status: 400, title: 'The producer disconnected before the end of the live push' },
  // connections
  join_required: { status: 409, title: 'The first message on this connection must be a join' },
  already_joined: { status: 409, title: 'This connection has already joined' },
  resume_refused: { status: 403, title: 'The resume secret is missing or does not match the viewer' },
  replaced: { status: 409, title: 'A newer connection of the same viewer took over' },
  bad_sdp: { status: 400, title: 'The session description could not be applied' },
  no_common_codec: { status: 406, title: 'The viewer and the avatar share no codec' },
  transparent_avatar: { status: 406, title: 'WHEP players cannot show a transparent avatar' },
  slow_reader: { status: 408, title: 'The peer did not read in time' },
  idle_timeout: { status: 408, title: 'The peer was silent for too long' },
  precondition_required: { status: 428, title: 'The request requires an If-Match header' },
  precondition_failed: { status: 412, title: 'The resource has changed' },
  // server
  unavailable: { status: 503, title: 'A required dependency is unavailable' },
  internal: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** A problem document (RFC 9457 §3). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
  [extension: string]: unknown;
}

/** @returns The WebSocket close code (RFC 6455 §7.4.2, private range): 4000 + the HTTP status of the same meaning. */
export function closeCodeOf(code: ErrorCode): number {
  return 4000 + ERRORS[code].status;
}
