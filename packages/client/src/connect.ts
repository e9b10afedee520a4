import { Display } from './display.js';
import { browserEnvironment, type Environment } from './environment.js';
import { Session, type SessionEvents } from './session.js';

export interface ConnectOptions {
  /** Base URL of humancast's signaling, e.g. `https://avatar.example`. Default: the page's origin. */
  url?: string | URL;
  /** The session's id, from `POST /v1/sessions`. */
  session: string;
  /** The session's token. */
  token: string;
  /** Plays muted at first, as browsers require; {@link Session.unmute} turns audio on. */
  video: HTMLVideoElement;
  onState?: (state: SessionEvents['state']) => void;
  onEvent?: (event: SessionEvents['event']) => void;
  onError?: (error: SessionEvents['error']) => void;
  onStats?: (stats: SessionEvents['stats']) => void;
  /** Replaceable in tests. */
  environment?: Environment;
}

/** Joins a session and plays it in the video element. It never throws because of the network; listen for `error`. */
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
  // The caller must be able to add its listeners first.
  queueMicrotask(() => session.open());
  return session;
}

/** @returns `ws(s)://host/base/v1/signal` for `http(s)://host/base`. */
function signalUrlOf(base: string | URL): string {
  const url = new URL(base);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/signal`;
  url.search = '';
  url.hash = '';
  return url.href;
}
