import {
  LIVE_HEADER_BYTES,
  LIVE_KIND,
  type LiveLoaderMessage,
  type LiveStatus,
  liveLoaderMessageSchema,
  type liveStartSchema,
} from '@humancast/protocol';
import { WebSocket } from 'ws';
import type { z } from 'zod';
import { rejectionOf } from './live-rejection.js';
import { ProducerError } from './producer-error.js';
import type { CallOptions } from './rest-client.js';

type LiveStart = z.input<typeof liveStartSchema>;

export interface LiveOptions extends CallOptions, Omit<LiveStart, 'type' | 'sampleRate' | 'sampleFormat'> {
  avatar: string;
  /** Session that plays the segment, immediately or after what is queued. Without it, the segment is only stored. */
  session?: string;
  /**
   * The session's turn for which the segment is made; default: the one at the call. If the session is interrupted before the
   * push is open, the push is rejected with `interrupted`.
   */
  turn?: number | undefined;
  /** Sample rate, Hz, mono. Default: 24 000, the stored rate, which needs no resampling. */
  sampleRate?: number;
  /** `f32`: −1…1. Default: `s16`. */
  sampleFormat?: LiveStart['sampleFormat'];
  /** Called about twice a second. */
  onStatus?: (status: LiveStatus) => void;
}

export interface LiveResult {
  segment: string;
  durationMs: number;
  frames: number;
}

/** Buffered bytes above which `pushVideo` and `pushAudio` wait. The limit is small because buffered media is late. */
const BUFFER_BYTES = 2 * 1024 * 1024;
/** Buffered bytes at which calls that were not awaited reject. */
const BUFFER_LIMIT_BYTES = 128 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_SAMPLE_RATE = 24_000;
const MESSAGE_LIMIT_BYTES = 65_536;
const PING_MS = 5000;
/** Time without a message after which the loader counts as lost, ms. */
const SILENCE_MS = 15_000;

/**
 * Pushes a segment while it is being created; it plays from its first frame on. Created by `Humancast.live`.
 *
 * Await every `pushVideo` and `pushAudio`: they resolve when there is room for more, which slows a producer that is faster
 * than the loader. The tracks are aligned by their lengths, not by arrival: frame k is shown k/fps after the first sample. After
 * a time with one track only, call `align()` before both continue.
 */
export class LivePush implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #started = Promise.withResolvers<Extract<LiveLoaderMessage, { type: 'ready' }>>();
  readonly #done = Promise.withResolvers<LiveResult>();
  readonly #interruption = new AbortController();
  readonly #onStatus: LiveOptions['onStatus'];
  readonly #fps: number;
  readonly #sampleRate: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#fail(this.#signal?.reason);
  #waiting: PromiseWithResolvers<void>[] = [];
  #pulse: NodeJS.Timeout | undefined;
  #heardAtMs = performance.now();
  #failure: { reason: unknown } | undefined;
  #finished = false;
  #ending = false;
  #segment = '';
  #seq: number | undefined;
  #turn: number | undefined;
  #status: LiveStatus | undefined;
  #interruptedAtMs: number | undefined;
  /** Lengths of the tracks. */
  #frames = 0;
  #samples = 0;

  private constructor(url: URL, apiKey: string, options: LiveOptions) {
    const { fps, sampleRate = DEFAULT_SAMPLE_RATE, signal, onStatus, traceparent } = options;
    this.#fps = typeof fps === 'number' ? fps : fps.num / fps.den;
    this.#sampleRate = sampleRate;
    this.#onStatus = onStatus;
    this.#signal = signal;
    for (const { promise } of [this.#started, this.#done]) promise.catch(() => {});
    this.#socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${apiKey}`, ...(traceparent !== undefined && { traceparent }) },
      // Raw frames cost more to compress than to send.
      perMessageDeflate: false,
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      maxPayload: MESSAGE_LIMIT_BYTES,
    });
  }

  /** @throws ProducerError with the loader's code if it rejects the push; the signal's reason if aborted. */
  static async open(loaderUrl: string, apiKey: string, options: LiveOptions): Promise<LivePush> {
    options.signal?.throwIfAborted();
    const push = new LivePush(urlOf(loaderUrl, options), apiKey, options);
    push.#listen(startOf(options));
    const { segment, seq, turn } = await push.#started.promise;
    push.#segment = segment;
    push.#seq = seq;
    push.#turn = turn;
    return push;
  }

  get segment(): string {
    return this.#segment;
  }

  /** The segment's `seq` in the session's queue. */
  get seq(): number | undefined {
    return this.#seq;
  }

  /** The session's turn to which the segment belongs. */
  get turn(): number | undefined {
    return this.#turn;
  }

  /** The last progress report. */
  get status(): LiveStatus | undefined {
    return this.#status;
  }

  /** Aborted when the session is interrupted while this segment plays: media pushed from then on is not played. */
  get interrupted(): AbortSignal {
    return this.#interruption.signal;
  }

  /** Duration played at the interruption, ms. */
  get interruptedAtMs(): number | undefined {
    return this.#interruptedAtMs;
  }

  get #audioMs(): number {
    return (this.#samples * 1000) / this.#sampleRate;
  }

  /** Number of bytes not yet sent. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Pushes the next frame. The caller may reuse its memory as soon as this returns. */
  pushVideo(frame: Uint8Array): Promise<void> {
    this.#frames++;
    return this.#push(LIVE_KIND.video, frame);
  }

  /** Pushes any number of samples. The caller may reuse their memory as soon as this returns. */
  pushAudio(pcm: Int16Array | Float32Array): Promise<void> {
    this.#samples += pcm.length;
    return this.#push(LIVE_KIND.audio, new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength));
  }

  /**
   * Repeats the last frame (before the first one, the avatar's still) 1 to 1000 times, for a time with audio and no video.
   */
  hold(frames: number): Promise<void> {
    this.#frames += frames;
    return this.#send(JSON.stringify({ type: 'hold', frames }));
  }

  /**
   * Fills both tracks up to a position, for a model whose media has timestamps: frames by repeating the last one, audio with
   * silence; at most 1000 frames. A track that is longer already stays.
   */
  fill(toMs: number): Promise<void> {
    this.#frames = Math.max(this.#frames, Math.round((toMs * this.#fps) / 1000));
    this.#samples = Math.max(this.#samples, Math.round((toMs * this.#sampleRate) / 1000));
    return this.#send(JSON.stringify({ type: 'fill', toMs }));
  }

  /**
   * Fills the shorter track up to the longer one, and to the start of a frame, so that the next frame is shown with the next
   * sample: after a time with audio and no frames, or with frames and no audio.
   */
  async align(): Promise<void> {
    // Audio of whole frames may be half a sample longer than they are, by rounding.
    const frames = Math.max(this.#frames, Math.ceil(((this.#samples - 0.51) * this.#fps) / this.#sampleRate));
    const samples = Math.round((frames * this.#sampleRate) / this.#fps);
    if (this.#frames === frames && this.#samples === samples) return;
    await this.fill((frames * 1000) / this.#fps);
  }

  /**
   * Says which words belong to the audio from one position of the push to another one, ms. They are told to pages and producers
   * as they are heard. Send them in order, before their audio or with it.
   * @param options.atMs Default: where the audio is now.
   */
  pushText(text: string, { atMs = this.#audioMs, untilMs }: { atMs?: number; untilMs: number }): Promise<void> {
    return this.#send(JSON.stringify({ type: 'text', text, atMs, untilMs }));
  }

  /**
   * Keeps the push open while there is nothing to send; otherwise it ends after the loader's `LIVE_IDLE_MINUTES`, 10 by
   * default.
   */
  keepAlive(): Promise<void> {
    return this.#send(JSON.stringify({ type: 'alive' }));
  }

  /** Ends the push. Resolves when everything is stored; further calls return the same result. */
  end(): Promise<LiveResult> {
    if (!this.#ending && !this.#finished) {
      this.#ending = true;
      this.#socket.send(JSON.stringify({ type: 'end' }));
    }
    return this.#done.promise;
  }

  /** Cancels the push: the segment ends with what has arrived. May be called twice. */
  cancel(): void {
    this.#fail(new ProducerError('connection_lost', 'the live push was cancelled'));
  }

  /** Cancels the push unless it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  #listen(start: LiveStart): void {
    const socket = this.#socket;
    socket.on('open', () => {
      socket.send(JSON.stringify(start));
      this.#heardAtMs = performance.now();
      this.#pulse = setInterval(() => this.#checkPulse(), PING_MS);
    });
    socket.on('message', (data, isBinary) => {
      this.#heardAtMs = performance.now();
      if (!isBinary) this.#read(data.toString());
    });
    socket.on('pong', () => {
      this.#heardAtMs = performance.now();
    });
    socket.on('unexpected-response', (_request, response) => {
      void rejectionOf(response).then((error) => this.#fail(error));
    });
    socket.on('error', (error) => {
      const message = 'the connection to the segment-loader failed';
      this.#fail(
        new ProducerError(this.#segment === '' ? 'unreachable' : 'connection_lost', message, { cause: error }),
      );
    });
    socket.on('close', (code) =>
      this.#fail(new ProducerError('connection_lost', `the segment-loader closed the connection (${code})`)),
    );
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  #checkPulse(): void {
    if (performance.now() - this.#heardAtMs > SILENCE_MS) {
      this.#fail(new ProducerError('connection_lost', 'the segment-loader is silent'));
    } else this.#socket.ping();
  }

  #read(text: string): void {
    const message = parse(text);
    if (message instanceof ProducerError) this.#fail(message);
    else if (message) this.#handle(message);
  }

  #handle(message: LiveLoaderMessage): void {
    switch (message.type) {
      case 'ready':
        this.#started.resolve(message);
        break;
      case 'status':
        this.#status = message;
        this.#onStatus?.(message);
        break;
      case 'interrupted':
        this.#interruptedAtMs = message.positionMs;
        this.#interruption.abort();
        break;
      case 'done':
        this.#finish(message);
        break;
      case 'error':
        this.#fail(new ProducerError(message.code, message.message));
    }
  }

  #push(kind: number, payload: Uint8Array): Promise<void> {
    const message = Buffer.allocUnsafe(LIVE_HEADER_BYTES + payload.length);
    message.writeUInt32LE(kind);
    message.set(payload, LIVE_HEADER_BYTES);
    return this.#send(message);
  }

  async #send(message: Buffer | string): Promise<void> {
    if (this.#failure) throw this.#failure.reason;
    if (this.#ending) throw new TypeError('nothing can be pushed after end()');
    if (this.#socket.bufferedAmount > BUFFER_LIMIT_BYTES) {
      throw new ProducerError('push_overrun', 'await pushVideo() and pushAudio() before more is pushed');
    }
    this.#socket.send(message, () => this.#drained());
    if (this.#socket.bufferedAmount <= BUFFER_BYTES) return;
    const room = Promise.withResolvers<void>();
    this.#waiting.push(room);
    await room.promise;
  }

  #drained(): void {
    if (this.#socket.bufferedAmount > BUFFER_BYTES) return;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  #finish({ segment, durationMs, frames }: LiveResult): void {
    this.#finished = true;
    this.#done.resolve({ segment, durationMs, frames });
    this.#fail(new ProducerError('connection_lost', 'the segment is complete'));
  }

  /** Ends the push; only the first reason counts. */
  #fail(reason: unknown): void {
    if (this.#failure) return;
    this.#failure = { reason };
    clearInterval(this.#pulse);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
    this.#started.reject(reason);
    this.#done.reject(reason);
    if (this.#finished) this.#socket.close(1000);
    else this.#socket.terminate();
  }
}

function urlOf(loaderUrl: string, { avatar, session, turn }: LiveOptions): URL {
  const url = new URL('/v1/live', loaderUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('avatar', avatar);
  if (session !== undefined) url.searchParams.set('session', session);
  if (turn !== undefined) url.searchParams.set('turn', String(turn));
  return url;
}

function startOf(options: LiveOptions): LiveStart {
  const { name, fps, width, height, pixelFormat, interrupt } = options;
  const { sampleRate = DEFAULT_SAMPLE_RATE, sampleFormat = 's16' } = options;
  return {
    type: 'start',
    fps,
    width,
    height,
    pixelFormat,
    sampleRate,
    sampleFormat,
    ...(name !== undefined && { name }),
    ...(interrupt !== undefined && { interrupt }),
  };
}

/** @returns `undefined` for a message of a newer loader. */
function parse(text: string): LiveLoaderMessage | ProducerError | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const parsed = liveLoaderMessageSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    const known = liveLoaderMessageSchema.options.some(
      ({ shape }) => shape.type.value === (value as LiveLoaderMessage)?.type,
    );
    return known ? new ProducerError('bad_answer', 'the segment-loader sent an invalid message') : undefined;
  } catch (error) {
    return new ProducerError('bad_answer', 'the segment-loader sent a message that is not JSON', { cause: error });
  }
}
