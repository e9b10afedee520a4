/**
 * The messages of `WS /v1/signal`, as this package needs them. The contract is in `packages/shared` (zod); a test holds the
 * two together, so that the browser is spared the schemas.
 */

export interface Candidate {
  candidate: string;
  sdpMid?: string | null;
  sdpMLineIndex?: number | null;
  usernameFragment?: string | null;
}

interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface TrackPair<T> {
  audio: T;
  video: T;
}

/** What was measured since the last report; a missing field could not be measured. */
export interface ViewerReport {
  /** Picture minus voice as played, ms: positive when the picture is late. */
  skewMs?: number;
  trimMs?: TrackPair<number>;
  jitterBufferMs?: TrackPair<number>;
  freezes?: number;
  freezeMs?: number;
  framesDecoded?: number;
  framesDropped?: number;
  packetsReceived?: number;
  packetsLost?: number;
  concealedSamples?: number;
  roundTripMs?: number;
  firstFrameMs?: number;
}

export type ViewerMessage =
  | { type: 'join'; session: string; token: string; viewer?: string; resume?: string; connection?: string }
  | { type: 'answer'; connection: string; sdp: string }
  | { type: 'candidate'; connection: string; candidate: Candidate }
  | { type: 'reconnect'; connection?: string }
  | { type: 'report'; connection: string; report: ViewerReport }
  | { type: 'interrupt' }
  | { type: 'leave' }
  | { type: 'ping' };

/** Something that happened in the session; `atMs` since the Unix epoch. */
export type SessionEvent = { id: string; session: string; atMs: number } & (
  | { type: 'session.hosted'; host: string; epoch: number }
  | { type: 'session.moved'; from: string; host: string; epoch: number }
  | { type: 'session.ended'; reason: string }
  | { type: 'session.interrupted'; interruptedSeq: number; idempotencyKey?: string }
  | { type: 'viewer.connected'; viewer: string }
  | { type: 'viewer.disconnected'; viewer: string; reason: string }
  | { type: 'speech.started'; seq: number; segment: string }
  | {
      type: 'speech.finished';
      seq: number;
      segment: string;
      positionMs: number;
      interrupted: boolean;
      reason: 'finished' | 'interrupted' | 'dropped' | 'failed';
    }
  | { type: 'playback.held'; segment: string; heldMs: number }
  /** Events after `afterId`, up to `throughId`, went by unheard; with the scope `viewers`, only such about viewers. */
  | { type: 'events.missed'; afterId: string; throughId: string; scope: 'all' | 'viewers' }
);

export type SignalMessage =
  | {
      type: 'joined';
      session: string;
      viewer: string;
      /** Missing from servers of before there was one. */
      resume?: string;
      avatar: string;
      iceServers: IceServer[];
      relayOnly: boolean;
      heartbeatMs: number;
    }
  | { type: 'waiting'; position: number }
  | {
      type: 'offer';
      connection: string;
      epoch: number;
      sdp: string;
      codec?: 'vp8' | 'h264' | undefined;
      /** For this connection; missing where there is no TURN server, and from servers that give them at `joined` only. */
      iceServers?: IceServer[] | undefined;
    }
  | { type: 'candidate'; connection: string; candidate: Candidate }
  | { type: 'closed'; connection: string; reason: string }
  | { type: 'event'; event: SessionEvent }
  | { type: 'pong' }
  | { type: 'error'; code: string; message: string };

type FieldType = 'string' | 'number' | 'boolean' | 'object';

/** The fields this package reads of each message, by their JavaScript type. */
export const SIGNAL_FIELDS: { readonly [T in SignalMessage['type']]: Readonly<Record<string, FieldType>> } = {
  joined: { viewer: 'string', iceServers: 'object', relayOnly: 'boolean', heartbeatMs: 'number' },
  waiting: { position: 'number' },
  offer: { connection: 'string', epoch: 'number', sdp: 'string' },
  candidate: { connection: 'string', candidate: 'object' },
  closed: { connection: 'string', reason: 'string' },
  event: { event: 'object' },
  pong: {},
  error: { code: 'string', message: 'string' },
};

/** → the message, or `undefined` for what this version doesn't know: a newer server may say more. */
export function parseSignal(data: unknown): SignalMessage | undefined {
  const message = typeof data === 'string' ? parseJson(data) : undefined;
  if (typeof message !== 'object' || message === null || !('type' in message)) return undefined;
  const { type } = message;
  if (typeof type !== 'string' || !Object.hasOwn(SIGNAL_FIELDS, type)) return undefined;
  const fields = SIGNAL_FIELDS[type as SignalMessage['type']];
  const values = message as Record<string, unknown>;
  for (const [name, kind] of Object.entries(fields)) {
    if (typeof values[name] !== kind || values[name] === null) return undefined;
  }
  return message as SignalMessage;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
