import type { SignalMessage } from '@humancast/protocol';

export interface TrackPair<T> {
  audio: T;
  video: T;
}

type FieldType = 'string' | 'number' | 'boolean' | 'object';

/** The fields that this package reads of each message, by their JavaScript type. */
const SIGNAL_FIELDS: {
  readonly [T in SignalMessage['type']]: { readonly [F in keyof Extract<SignalMessage, { type: T }>]?: FieldType };
} = {
  joined: { viewer: 'string', iceServers: 'object', relayOnly: 'boolean', heartbeatMs: 'number' },
  waiting: { position: 'number' },
  offer: { connection: 'string', epoch: 'number', sdp: 'string' },
  candidate: { connection: 'string', candidate: 'object' },
  closed: { connection: 'string', reason: 'string' },
  event: { event: 'object' },
  message: {},
  pong: {},
  error: { code: 'string', message: 'string' },
};

/** @returns `undefined` for a message type that this version does not know. */
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
