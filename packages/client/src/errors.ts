/** An error for the page. The code is stable; the message is for viewers. */
export interface ClientError {
  code: string;
  message: string;
  /** Whether the session is over for this viewer, so that nothing is retried. */
  fatal: boolean;
}

/** Permanent errors, after which nothing is retried. */
const FATAL: Readonly<Record<string, string>> = {
  unauthorized: 'This link is not valid.',
  token_expired: 'This link has expired. Ask for a new one.',
  forbidden: 'This link does not allow watching.',
  session_not_found: 'This conversation has ended.',
  session_ended: 'This conversation has ended.',
  viewer_limit: 'Too many people are watching already.',
  replaced: 'The conversation goes on in another window.',
  avatar_not_found: 'This avatar does not exist.',
  avatar_has_no_idle: 'This avatar has nothing to show yet.',
  no_common_codec: 'This browser cannot play the avatar’s video.',
  bad_request: 'The server did not understand this page.',
  // raised by the client itself
  bad_ice_servers: 'This browser cannot use the server’s relay.',
  unsupported: 'This browser cannot play live video.',
  unreachable: 'The server cannot be reached. Check the network.',
  no_media: 'No video arrives. A firewall may block it.',
};

/** Temporary errors: the client retries, or only one request was rejected. */
const PASSING: Readonly<Record<string, string>> = {
  connection_lost: 'The connection was lost. Trying again…',
  resume_refused: 'The connection was lost. Trying again…',
  media_lost: 'The video stopped. Trying again…',
  rate_limited: 'Too much at once. Wait a moment.',
  session_limit: 'Everyone is busy right now. Trying again…',
  no_capacity: 'Everyone is busy right now. Trying again…',
  unavailable: 'Something went wrong at the server. Trying again…',
  idle_timeout: 'The connection went quiet. Trying again…',
  bad_sdp: 'The connection could not be set up. Trying again…',
  internal: 'Something went wrong at the server. Trying again…',
};

/** @returns Every code that has a message here. A function, so that bundlers drop it. */
export const codesWithWords = (): string[] => [...Object.keys(FATAL), ...Object.keys(PASSING)];

export function clientError(code: string, serverMessage?: string): ClientError {
  const fatal = Object.hasOwn(FATAL, code);
  const message = FATAL[code] ?? PASSING[code] ?? serverMessage ?? 'Something went wrong. Trying again…';
  return { code, message, fatal };
}

/**
 * The error code for a WebSocket close code without an `error` message before it: the server closes with 4000 + the HTTP
 * status of the same meaning. `undefined` for an ordinary loss, which is worth a retry.
 */
export function codeOfClose(closeCode: number): string | undefined {
  return CODE_OF_CLOSE[closeCode];
}

const CODE_OF_CLOSE: Readonly<Record<number, string>> = {
  4400: 'bad_request',
  4401: 'unauthorized',
  4403: 'forbidden',
  4404: 'session_not_found',
  4406: 'no_common_codec',
  4409: 'replaced',
  4410: 'session_ended',
  4413: 'message_too_large',
};
