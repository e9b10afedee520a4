/**
 * Every error a caller can see: a stable code, an HTTP status, and what it means. The code never changes once released;
 * clients branch on it. `docs/errors.md` is generated from this table, and a test checks that the two agree.
 */
export const ERRORS = {
  // what the caller sent
  bad_request: { status: 400, title: 'The request is not of the expected form' },
  bad_message: { status: 400, title: 'The message is not valid JSON or not of a known type' },
  message_too_large: { status: 413, title: 'The message is larger than allowed' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for another request before' },
  rate_limited: { status: 429, title: 'Too many requests in too short a time' },
  too_many_connections: { status: 429, title: 'This caller has as many connections open as allowed' },
  unauthorized: { status: 401, title: 'Credentials are missing or not valid' },
  token_expired: { status: 401, title: 'The session token has expired' },
  forbidden: { status: 403, title: 'These credentials do not allow this' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, title: 'This method is not allowed here' },
  unknown_host: { status: 421, title: 'This service does not answer to this host name' },
  unsupported_media_type: { status: 415, title: 'This content type is not accepted here' },
  // avatars, segments, sessions
  record_unreadable: { status: 409, title: 'It was stored by another version, in a form that this one cannot read' },
  avatar_not_found: { status: 404, title: 'No avatar has this id' },
  avatar_has_no_idle: { status: 409, title: 'The avatar has no idle clip to play yet' },
  segment_not_found: { status: 404, title: 'No segment has this id' },
  segment_not_ready: { status: 409, title: 'The segment failed to load, so it cannot be played' },
  segment_wrong_avatar: { status: 409, title: 'The segment belongs to another avatar than the session' },
  session_not_found: { status: 404, title: 'No session has this id' },
  session_ended: { status: 410, title: 'The session has ended' },
  session_limit: { status: 503, title: 'There are as many sessions as allowed' },
  queue_full: { status: 409, title: 'The session has as many queued segments as allowed' },
  viewer_limit: { status: 409, title: 'The session has as many viewers as allowed' },
  no_capacity: { status: 503, title: 'Every media-sender is full' },
  sender_not_found: { status: 404, title: 'No media-sender has this id' },
  managed_by_folder: { status: 409, title: 'This comes from the watched folder and can only be changed there' },
  // media files
  upload_too_large: { status: 413, title: 'The upload is larger than allowed' },
  upload_incomplete: { status: 400, title: 'The upload ended before it was complete' },
  too_many_uploads: { status: 503, title: 'As many uploads are being loaded as allowed' },
  media_unreadable: { status: 422, title: 'The file is not a media file that can be read' },
  media_no_video: { status: 422, title: 'The file has no picture' },
  media_truncated: { status: 422, title: 'The file ends before its stated end' },
  media_corrupt: { status: 422, title: 'Parts of the file could not be decoded' },
  media_undecodable: { status: 422, title: 'The file holds something that cannot be decoded' },
  media_joined: { status: 422, title: 'Several files were joined to one, of which only the first could be read' },
  media_timestamps: { status: 422, title: 'The timestamps of the file jump too often' },
  media_too_large: { status: 422, title: 'The picture is larger than allowed' },
  media_too_small: { status: 422, title: 'The picture is smaller than can be encoded' },
  library_entry_unusable: { status: 422, title: 'An entry of the media folder cannot be used' },
  composition_input_missing: { status: 422, title: 'An input of the composition is not there' },
  composition_length_unknown: { status: 422, title: 'Nothing says how long the composition is' },
  media_too_long: { status: 422, title: 'The file is longer than allowed' },
  encoder_failed: { status: 500, title: 'The encoder stopped unexpectedly' },
  media_store_full: { status: 507, title: 'The media store has no room left' },
  disk_full: { status: 507, title: 'The disk has no room left' },
  // live pushes
  start_required: { status: 409, title: 'The first message of a live push must be its header' },
  already_started: { status: 409, title: 'This live push has its header already' },
  live_frame_size: { status: 400, title: 'A frame does not have the size that the header says' },
  live_frame_corrupt: { status: 422, title: 'A frame could not be decoded' },
  live_sound_size: { status: 400, title: 'A piece of sound does not hold a whole number of samples' },
  live_empty: { status: 422, title: 'The live push ended before any picture or sound had come' },
  live_overloaded: { status: 503, title: 'Frames come faster than they can be encoded here' },
  too_many_pushes: { status: 503, title: 'There are as many live pushes as allowed' },
  producer_gone: { status: 400, title: 'The producer disappeared before it had said the end' },
  // connections
  join_required: { status: 409, title: 'The first message on this connection must be a join' },
  already_joined: { status: 409, title: 'This connection has already joined' },
  resume_refused: { status: 403, title: 'The resume secret is missing or is not that of this viewer' },
  replaced: { status: 409, title: 'A newer connection of the same viewer took over' },
  bad_sdp: { status: 400, title: 'The session description could not be applied' },
  no_common_codec: { status: 406, title: 'The viewer and the avatar share no codec' },
  ice_restart_unsupported: { status: 422, title: 'ICE restarts are not supported here; make a new connection instead' },
  slow_reader: { status: 408, title: 'The other side did not read what was sent to it in time' },
  idle_timeout: { status: 408, title: 'Nothing was heard from the other side in time' },
  precondition_required: { status: 428, title: 'The request needs an If-Match header' },
  precondition_failed: { status: 412, title: 'The resource has changed since' },
  // ours
  unavailable: { status: 503, title: 'A part this needs is not available right now' },
  internal: { status: 500, title: 'Something went wrong on our side' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorDetails {
  /** What was wrong and what would be right, for a person. */
  detail?: string;
  /** Seconds after which trying again makes sense. */
  retryAfterSeconds?: number;
  /** Further machine-readable members of the problem document. */
  extra?: Record<string, unknown>;
  cause?: unknown;
}

/** An error that may be shown to a caller. Anything else becomes `internal`, with its text kept in the log only. */
export class HumancastError extends Error {
  override readonly name = 'HumancastError';
  readonly code: ErrorCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly extra: Record<string, unknown>;

  constructor(code: ErrorCode, detailOrDetails: string | ErrorDetails = {}) {
    const details = typeof detailOrDetails === 'string' ? { detail: detailOrDetails } : detailOrDetails;
    super(details.detail ?? ERRORS[code].title, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.status = ERRORS[code].status;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.extra = details.extra ?? {};
  }
}

/** A problem document (RFC 9457 §3). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
  [extension: string]: unknown;
}

/** The problem document for any thrown value; what is not a {@link HumancastError} gives nothing away. */
export function toProblem(error: unknown): Problem {
  const known = error instanceof HumancastError ? error : new HumancastError('internal');
  return {
    ...known.extra,
    type: `https://humancast.dev/errors#${known.code}`,
    title: ERRORS[known.code].title,
    status: known.status,
    code: known.code,
    detail: known.message,
  };
}

/**
 * WebSocket close codes (RFC 6455 §7.4.2, private range): 4000 + the HTTP status of the same meaning, so that a log line
 * or a browser console can be read without a table.
 */
export function closeCodeOf(code: ErrorCode): number {
  return 4000 + ERRORS[code].status;
}
