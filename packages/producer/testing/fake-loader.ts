import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  closeCodeOf,
  type ErrorCode,
  idSchema,
  LIVE_HEADER_BYTES,
  LIVE_KIND,
  type LiveLoaderMessage,
  type LiveStart,
  liveLoaderMessageSchema,
  liveProducerMessageSchema,
  slugSchema,
  type TextCue,
  turnQuerySchema,
} from '@humancast/protocol';
import { HumancastError, newId, toProblem } from '@humancast/shared';
import { type WebSocket, WebSocketServer } from 'ws';

/** Media and messages that a producer has pushed. */
export interface Received {
  readonly segment: string;
  readonly avatar: string;
  readonly session: string | undefined;
  readonly turn: number | undefined;
  readonly startedAtMs: number;
  start: LiveStart | undefined;
  /** Arrival time of each frame, ms. */
  frameTimesMs: number[];
  /** Copies of the frames, if the loader keeps them. */
  frames: Buffer[];
  /** Frames that were held. */
  held: number;
  /** Positions up to which the tracks were filled, ms. */
  filled: number[];
  /** Text, with its positions. */
  texts: TextCue[];
  /** Number of keep-alives. */
  alive: number;
  /** All audio, as pushed. */
  audio: Buffer[];
  /** `end`: the producer ended the push. `gone`: it closed the connection. */
  outcome: 'open' | 'end' | 'gone';
  /** Violations of the protocol by the producer. */
  breaches: string[];
  send(message: LiveLoaderMessage): void;
  reject(code: ErrorCode, message: string): void;
  /** Stops reading from the network, like an overloaded loader. */
  stall(): void;
  resume(): void;
  /** Terminates the connection. */
  drop(): void;
}

export type Route = (request: IncomingMessage, response: ServerResponse) => void;

/** `WS /v1/live` as in packages/protocol/src/live-push.ts, without an encoder: it validates and counts. */
export class FakeLoader {
  readonly pushes: Received[] = [];
  readonly apiKey: string;
  /** Answers every request that is not a live push. */
  route: Route = (_request, response) => void response.writeHead(404).end();
  /** Rejects the next push with an HTTP answer. */
  rejection: ErrorCode | undefined;
  /** The session's turn; a push that states another one is rejected. */
  turn = 0;
  keepFrames = false;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });

  private constructor(apiKey: string) {
    this.apiKey = apiKey;
    this.#server = createServer((request, response) => this.route(request, response));
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  static async start(apiKey = 'key-of-the-tests'): Promise<FakeLoader> {
    const loader = new FakeLoader(apiKey);
    await new Promise<void>((resolve) => loader.#server.listen(0, '127.0.0.1', resolve));
    return loader;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get last(): Received {
    const last = this.pushes.at(-1);
    if (!last) throw new Error('nothing was pushed');
    return last;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const url = new URL(request.url ?? '/', this.url);
    const avatar = slugSchema.safeParse(url.searchParams.get('avatar'));
    const session = idSchema.optional().safeParse(url.searchParams.get('session') ?? undefined);
    const turn = turnQuerySchema.safeParse(url.searchParams.get('turn') ?? undefined);
    const code = this.rejection ?? rejectionOf(request, this.apiKey, url.pathname, [avatar, session, turn]);
    this.rejection = undefined;
    if (code !== undefined) {
      answerProblem(socket, new HumancastError(code));
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (websocket) =>
      this.#serve(websocket, socket, { avatar: avatar.data ?? '', session: session.data, turn: turn.data }),
    );
  }

  #serve(websocket: WebSocket, socket: Duplex, target: Pick<Received, 'avatar' | 'session' | 'turn'>): void {
    const push: Received = {
      segment: newId('seg'),
      ...target,
      startedAtMs: performance.now(),
      start: undefined,
      frameTimesMs: [],
      frames: [],
      audio: [],
      outcome: 'open',
      held: 0,
      filled: [],
      texts: [],
      alive: 0,
      breaches: [],
      send: (message) => websocket.send(JSON.stringify(liveLoaderMessageSchema.parse(message))),
      reject: (code, message) => {
        push.send({ type: 'error', code, message });
        websocket.close(closeCodeOf(code));
      },
      stall: () => socket.pause(),
      resume: () => socket.resume(),
      drop: () => websocket.terminate(),
    };
    this.pushes.push(push);
    const status = setInterval(() => push.start && push.send(statusOf(push)), 100);
    websocket.on('message', (data, isBinary) => {
      if (isBinary) this.#media(push, data as Buffer);
      else this.#text(push, data.toString(), websocket);
    });
    websocket.on('close', () => {
      clearInterval(status);
      if (push.outcome === 'open') push.outcome = 'gone';
    });
    websocket.on('error', () => {});
  }

  #text(push: Received, text: string, websocket: WebSocket): void {
    const parsed = liveProducerMessageSchema.safeParse(JSON.parse(text));
    if (!parsed.success) {
      push.breaches.push(parsed.error.message);
      push.reject('bad_message', 'the message is not of a known type');
      return;
    }
    if (parsed.data.type === 'start') {
      push.start = parsed.data;
      const { session, turn = this.turn } = push;
      if (turn !== this.turn) {
        push.reject('interrupted', `the session is at turn ${this.turn}, not ${turn}`);
        return;
      }
      push.send({ type: 'ready', segment: push.segment, ...(session !== undefined && { seq: 1, turn }) });
      return;
    }
    if (parsed.data.type === 'alive') {
      push.alive++;
      return;
    }
    if (parsed.data.type === 'text') {
      const { text, atMs, untilMs } = parsed.data;
      push.texts.push({ text, atMs, untilMs });
      return;
    }
    if (parsed.data.type === 'fill') {
      push.filled.push(parsed.data.toMs);
      return;
    }
    if (parsed.data.type === 'hold') {
      push.held += parsed.data.frames;
      return;
    }
    push.outcome = 'end';
    push.send({
      type: 'done',
      segment: push.segment,
      durationMs: durationMsOf(push),
      frames: push.frameTimesMs.length + push.held,
    });
    websocket.close(1000);
  }

  #media(push: Received, message: Buffer): void {
    const breach = breachOf(push, message);
    if (breach !== undefined) {
      push.breaches.push(breach);
      push.reject('bad_message', breach);
      return;
    }
    const payload = message.subarray(LIVE_HEADER_BYTES);
    if (message[0] === LIVE_KIND.audio) {
      push.audio.push(payload);
      return;
    }
    push.frameTimesMs.push(performance.now());
    if (this.keepFrames) push.frames.push(payload);
  }
}

function rejectionOf(
  request: IncomingMessage,
  apiKey: string,
  pathname: string,
  query: readonly { success: boolean }[],
): ErrorCode | undefined {
  if (pathname !== '/v1/live') return 'not_found';
  if (request.headers.authorization !== `Bearer ${apiKey}`) return 'unauthorized';
  return query.every(({ success }) => success) ? undefined : 'bad_request';
}

function answerProblem(socket: Duplex, error: HumancastError): void {
  const body = JSON.stringify(toProblem(error));
  socket.end(
    `HTTP/1.1 ${error.status} Rejected\r\ncontent-type: application/problem+json\r\nretry-after: 3\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** @returns What is wrong with a binary message. */
function breachOf({ start }: Received, message: Buffer): string | undefined {
  if (!start) return 'media before the header';
  if (message.length <= LIVE_HEADER_BYTES) return 'a message without content';
  const size = message.length - LIVE_HEADER_BYTES;
  switch (message.readUInt32LE(0)) {
    case LIVE_KIND.video: {
      const expected = frameBytes(start);
      return expected === undefined || size === expected ? undefined : `a frame of ${size} bytes, not ${expected}`;
    }
    case LIVE_KIND.audio:
      return size % sampleBytes(start) === 0 ? undefined : `${size} bytes are no whole number of samples`;
    default:
      return 'a message of an unknown kind';
  }
}

function frameBytes({ pixelFormat, width, height }: LiveStart): number | undefined {
  const pixels = width * height;
  const sizes = { bgr24: 3 * pixels, rgb24: 3 * pixels, rgba: 4 * pixels, i420: 1.5 * pixels, jpeg: undefined };
  return sizes[pixelFormat];
}

const sampleBytes = ({ sampleFormat }: LiveStart) => (sampleFormat === 's16' ? 2 : 4);

/** @returns The length of the longer of audio and video. */
function durationMsOf({ start, audio, frameTimesMs }: Received): number {
  if (!start) return 0;
  const bytes = audio.reduce((total, { length }) => total + length, 0);
  const fps = typeof start.fps === 'number' ? start.fps : start.fps.num / start.fps.den;
  return Math.max((bytes / sampleBytes(start) / start.sampleRate) * 1000, (frameTimesMs.length / fps) * 1000);
}

function statusOf(push: Received): LiveLoaderMessage {
  const { length } = push.frameTimesMs;
  const readyMs = durationMsOf(push);
  return { type: 'status', framesReceived: length, framesEncoded: length, readyMs, lagMs: 0, clampedSamples: 0 };
}
