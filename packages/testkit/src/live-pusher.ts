import type { LiveLoaderMessage, LiveStart } from '@humancast/protocol';
import { WebSocket } from 'ws';
import type { Stack } from './stack.js';

export interface LivePushTarget {
  avatar: string;
  session?: string;
  turn?: number;
}

/** The header of a live push of raw frames at 25 fps and float samples, without its size. */
export const LIVE_HEADER = {
  type: 'start',
  fps: 25,
  pixelFormat: 'bgr24',
  sampleRate: 24_000,
  sampleFormat: 'f32',
} as const;

type Answer<T extends LiveLoaderMessage['type']> = Extract<LiveLoaderMessage, { type: T }>;

/** A producer that speaks the live push protocol message by message. */
export class LivePusher {
  readonly socket: WebSocket;
  readonly messages: LiveLoaderMessage[] = [];
  readonly #waiting = new Set<() => void>();
  closeCode: number | undefined;

  static async connect(stack: Pick<Stack, 'loaderUrl' | 'apiKey'>, target: LivePushTarget): Promise<LivePusher> {
    const { turn, ...rest } = target;
    const query = new URLSearchParams({ ...rest, ...(turn !== undefined && { turn: String(turn) }) });
    const socket = new WebSocket(`${stack.loaderUrl.replace(/^http/, 'ws')}/v1/live?${query}`, {
      headers: { authorization: `Bearer ${stack.apiKey}` },
      perMessageDeflate: false,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return new LivePusher(socket);
  }

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => {
      this.messages.push(JSON.parse(String(data)) as LiveLoaderMessage);
      this.#wake();
    });
    socket.on('close', (code) => {
      this.closeCode = code;
      this.#wake();
    });
    socket.on('error', () => {});
  }

  start(header: Omit<LiveStart, 'interrupt'> & { interrupt?: boolean }): Promise<Answer<'ready'>> {
    this.socket.send(JSON.stringify(header));
    return this.message('ready');
  }

  pushVideo(frame: Uint8Array): void {
    // Sends two WebSocket fragments of one message, so that a large frame is not copied for its four-byte header.
    this.socket.send(Buffer.from([1, 0, 0, 0]), { binary: true, fin: false });
    this.socket.send(frame, { binary: true, fin: true });
  }

  pushAudio(pcm: Int16Array | Float32Array): void {
    const bytes = Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    this.socket.send(Buffer.concat([Buffer.from([2, 0, 0, 0]), bytes]));
  }

  end(): Promise<Answer<'done'>> {
    this.socket.send(JSON.stringify({ type: 'end' }));
    return this.message('done');
  }

  /** @returns the first message of a type, received before or after the call. */
  async message<T extends LiveLoaderMessage['type']>(type: T, timeoutMs = 20_000): Promise<Answer<T>> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.messages.find((message) => message.type === type);
      if (found) return found as Answer<T>;
      const left = deadline - performance.now();
      if (this.closeCode !== undefined || left <= 0) {
        throw new Error(`no ${type}; closed: ${this.closeCode}; received: ${JSON.stringify(this.messages.slice(-3))}`);
      }
      await this.#next(left);
    }
  }

  async closed(timeoutMs = 20_000): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    while (this.closeCode === undefined) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error('still open');
      await this.#next(left);
    }
    return this.closeCode;
  }

  #next(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

/** @returns a BGR frame of one color. */
export function bgrFrame(width: number, height: number, [blue, green, red]: readonly [number, number, number]): Buffer {
  return Buffer.alloc(width * height * 3, Buffer.from([blue, green, red]));
}

/** @returns a part of a tone from a sample on, 24 kHz float. */
export function tone(hz: number, fromSample: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * (fromSample + i)) / 24_000));
}

/**
 * Pushes frames and a tone in real time.
 * @returns `done`, which resolves after `seconds` or `stop()`.
 */
export function pushAtPace(
  pusher: LivePusher,
  { frame, hz, fps, seconds }: { frame: Buffer; hz: number; fps: number; seconds: number },
): { stop(): void; done: Promise<void> } {
  const startedMs = performance.now();
  const samples = 24_000 / fps;
  let sent = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setInterval(() => {
    const due = Math.min(seconds * fps, Math.floor(((performance.now() - startedMs) * fps) / 1000) + 1);
    for (; sent < due && pusher.closeCode === undefined; sent++) {
      pusher.pushVideo(frame);
      pusher.pushAudio(tone(hz, sent * samples, samples));
    }
    if (sent >= seconds * fps || pusher.closeCode !== undefined) stop();
  }, 5);
  const stop = () => {
    clearInterval(timer);
    resolve();
  };
  return { stop, done: promise };
}
