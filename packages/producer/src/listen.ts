import { type Heard, heardSchema, LISTEN_LENGTH_BYTES, listenMessageSchema } from '@humancast/protocol';
import { WebSocket } from 'ws';
import { rejectionOf } from './live-rejection.js';
import { ProducerError } from './producer-error.js';
import type { CallOptions } from './rest-client.js';

/** 20 ms of a viewer's voice. */
export interface HeardFrame extends Heard {
  /** Mono, at the rate that was asked for. */
  readonly pcm: Int16Array;
}

export interface ListenOptions extends Pick<CallOptions, 'signal'> {
  /** Sample rate, Hz. Default: 16 000. */
  rate?: 16_000 | 24_000;
}

const CONNECT_TIMEOUT_MS = 10_000;
const MESSAGE_LIMIT_BYTES = 65_536;
/** Frames that wait for a slow reader, 10 s of one voice; beyond, the oldest are dropped. Signaling drops earlier. */
const WAITING_FRAMES = 500;

/**
 * Hears the viewers of a session that may speak, until the session ends or the signal is aborted. A reader that is too slow
 * loses the oldest audio: `droppedMs` of the next frame says how much.
 * @throws ProducerError with signaling's code, or `connection_lost`; then listen again, and a gap is marked by `atMs`.
 */
export async function* listen(
  signalingUrl: string,
  apiKey: string,
  session: string,
  { rate, signal }: ListenOptions = {},
): AsyncGenerator<HeardFrame, void, undefined> {
  signal?.throwIfAborted();
  const url = new URL(`/v1/sessions/${encodeURIComponent(session)}/listen`, signalingUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (rate !== undefined) url.searchParams.set('rate', String(rate));
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${apiKey}` },
    perMessageDeflate: false,
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    maxPayload: MESSAGE_LIMIT_BYTES,
  });
  const waiting: HeardFrame[] = [];
  let end: { readonly error: unknown } | undefined;
  let wake = () => {};
  const finish = (error: unknown) => {
    end ??= { error };
    wake();
  };
  const onAbort = () => socket.terminate();
  signal?.addEventListener('abort', onAbort);
  socket.on('message', (data: Buffer, isBinary) => {
    try {
      if (!isBinary) finishOn(data, finish);
      else {
        waiting.push(frameOf(data));
        if (waiting.length > WAITING_FRAMES) waiting.shift();
        wake();
      }
    } catch (cause) {
      finish(new ProducerError('bad_answer', 'signaling sent a message of an unknown form', { cause }));
    }
  });
  socket.on('unexpected-response', (_, response) => void rejectionOf(response).then(finish));
  socket.on('error', (cause) => finish(new ProducerError('connection_lost', cause.message, { cause })));
  socket.on('close', () => finish(new ProducerError('connection_lost', 'the connection to signaling was lost')));
  try {
    for (;;) {
      const frame = waiting.shift();
      if (frame) yield frame;
      else if (signal?.aborted) throw signal.reason;
      else if (end?.error instanceof ProducerError && end.error.code === 'session_ended') return;
      else if (end) throw end.error;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    socket.terminate();
  }
}

function finishOn(data: Buffer, finish: (error: unknown) => void): void {
  const message = listenMessageSchema.parse(JSON.parse(data.toString()));
  if (message.type === 'error') finish(new ProducerError(message.code, message.message));
}

function frameOf(data: Buffer): HeardFrame {
  const at = LISTEN_LENGTH_BYTES + data.readUInt16LE(0);
  const heard = heardSchema.parse(JSON.parse(data.toString('utf8', LISTEN_LENGTH_BYTES, at)));
  const pcm = new Int16Array((data.length - at) >> 1);
  for (let i = 0; i < pcm.length; i++) pcm[i] = data.readInt16LE(at + 2 * i);
  return { ...heard, pcm };
}
