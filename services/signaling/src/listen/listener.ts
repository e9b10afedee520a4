import { closeCodeOf, type Heard, LISTEN_FRAME_MS, type ListenMessage } from '@humancast/protocol';
import { HumancastError, packHeard } from '@humancast/shared';
import type { WebSocket } from 'ws';
import { VoiceGaps } from './voice-gaps.js';
import { VoiceRate } from './voice-rate.js';

/** Bytes given to the WebSocket before frames wait here, where the oldest can be dropped. */
const BUFFER_BYTES = 32_768;
/** Frames that wait for a slow listener: 2 s of one voice. */
const WAITING_FRAMES = 100;
const CLOSE_TIMEOUT_MS = 1000;

export interface ListenerOptions {
  /** Sample rate of what it is sent, Hz. */
  readonly rate: number;
  readonly heartbeatMs: number;
  /** Called with the milliseconds of audio dropped because the listener is slow. */
  readonly onDropped: (ms: number) => void;
  /** Called exactly once. */
  readonly onClosed: () => void;
}

interface Frame {
  readonly heard: Heard;
  readonly pcm: Buffer;
}

/** A producer's WebSocket that hears a session. A slow one loses the oldest audio, and is told how much. */
export class Listener {
  readonly #ws: WebSocket;
  readonly #options: ListenerOptions;
  readonly #gaps = new VoiceGaps();
  readonly #rate: VoiceRate;
  readonly #waiting: Frame[] = [];
  /** Audio dropped of each viewer since its last frame that was sent. */
  readonly #droppedMs = new Map<string, number>();
  readonly #heartbeat: NodeJS.Timeout;
  #silentPings = 0;
  #closing = false;

  constructor(ws: WebSocket, options: ListenerOptions) {
    this.#ws = ws;
    this.#options = options;
    this.#rate = new VoiceRate(options.rate);
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
    ws.on('pong', () => {
      this.#silentPings = 0;
    });
    ws.on('message', () => this.fail(new HumancastError('bad_message', 'a listener sends nothing')));
    ws.on('error', () => {});
    ws.once('close', () => {
      this.#closing = true;
      clearInterval(this.#heartbeat);
      options.onClosed();
    });
    this.#sendText({ type: 'listening', sampleRate: options.rate, frameMs: LISTEN_FRAME_MS });
  }

  /** @param pcm Valid for as long as it waits. */
  hear(heard: Heard, pcm: Buffer): void {
    const marked = this.#closing ? undefined : this.#gaps.next(heard);
    if (!marked) return;
    this.#waiting.push({ heard: marked, pcm });
    if (this.#waiting.length > WAITING_FRAMES) this.#dropOldest();
    this.#pump();
  }

  fail(error: HumancastError): void {
    if (this.#closing) return;
    this.#sendText({ type: 'error', code: error.code, message: error.message });
    this.#closing = true;
    this.#ws.close(closeCodeOf(error.code), error.code);
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }

  #sendText(message: ListenMessage): void {
    this.#ws.send(JSON.stringify(message));
  }

  #dropOldest(): void {
    const { viewer } = (this.#waiting.shift() as Frame).heard;
    this.#droppedMs.set(viewer, (this.#droppedMs.get(viewer) ?? 0) + LISTEN_FRAME_MS);
    this.#options.onDropped(LISTEN_FRAME_MS);
  }

  #pump(): void {
    while (!this.#closing && this.#ws.bufferedAmount < BUFFER_BYTES) {
      const frame = this.#waiting.shift();
      if (!frame) return;
      const droppedMs = this.#droppedMs.get(frame.heard.viewer);
      this.#droppedMs.delete(frame.heard.viewer);
      const heard = droppedMs === undefined ? frame.heard : { ...frame.heard, droppedMs };
      this.#ws.send(packHeard({ heard, pcm: this.#rate.convert(heard, frame.pcm) }), () => this.#pump());
    }
  }

  #beat(): void {
    // Two pings in a row without an answer.
    if (this.#silentPings >= 2) this.#ws.terminate();
    this.#silentPings += 1;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }
}
