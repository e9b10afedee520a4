import { Display } from './display.js';
import { browserEnvironment, type Environment } from './environment.js';
import { Session, type SessionEvents } from './session.js';

export interface ConnectOptions {
  /** Where humancast's signaling is, e.g. `https://avatar.example`. Default: where this page came from. */
  url?: string | URL;
  /** The session's id, as `POST /v1/sessions` gave it. */
  session: string;
  /** The session's token. */
  token: string;
  /** Plays muted at first, as browsers demand; {@link Session.unmute} turns the sound on. */
  video: HTMLVideoElement;
  onState?: (state: SessionEvents['state']) => void;
  onEvent?: (event: SessionEvents['event']) => void;
  onError?: (error: SessionEvents['error']) => void;
  onStats?: (stats: SessionEvents['stats']) => void;
  /** For tests. */
  environment?: Environment;
}

/** Joins a session and plays it in the video element. Never throws for what the network does: listen for `error`. */
export function connect(options: ConnectOptions): Session {
  const environment = options.environment ?? browserEnvironment;
  const session = new Session({
    signalUrl: signalUrlOf(options.url ?? location.origin),
    session: options.session,
    token: options.token,
    display: new Display(options.video, environment.createStream),
    environment,
  });
  if (options.onState) session.on('state', options.onState);
  if (options.onEvent) session.on('event', options.onEvent);
  if (options.onError) session.on('error', options.onError);
  if (options.onStats) session.on('stats', options.onStats);
  // Not before the caller had a chance to listen.
  queueMicrotask(() => session.open());
  return session;
}

/** `http(s)://host/base` → `ws(s)://host/base/v1/signal`. */
function signalUrlOf(base: string | URL): string {
  const url = new URL(base);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/signal`;
  url.search = '';
  url.hash = '';
  return url.href;
}
