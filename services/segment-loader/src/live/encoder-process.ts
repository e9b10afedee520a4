import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, type Rendition } from '@humancast/protocol';
import { HumancastError, type Logger } from '@humancast/shared';
import { ByteQueue } from '../encode/byte-queue.js';
import { encoderCommandLine } from '../ffmpeg/current-sandbox.js';
import { toolEnvironment } from '../ffmpeg/sandbox.js';
import {
  type EncoderSetup,
  FROM_ENCODER,
  readWireHeader,
  TO_ENCODER,
  WIRE_HEADER_BYTES,
  type WireHead,
  type WireMessage,
  wireHeader,
} from './encoder/wire.js';

/** Arguments to Node.js that run the encoder. */
export const ENCODER_COMMAND: readonly string[] = [fileURLToPath(new URL('./encoder/main.js', import.meta.url))];

const NOTHING: Buffer = Buffer.alloc(0);
const STDERR_LIMIT_BYTES = 4096;

/** Raw images as large as the composition: I420, and I420 with an alpha plane. */
export interface Backdrop {
  readonly below: Buffer;
  readonly above: Buffer | undefined;
}

export interface EncoderHandlers {
  onFrame(rendition: number, number: number, keyframe: boolean, data: Buffer): void;
  /** Called when another number of renditions is encoded from the next frame on. */
  onRenditions(count: number): void;
  /** Called when one sent message has been processed. */
  onTaken(): void;
  /** Called at most once, when the encoder fails; nothing is called after it. */
  onFailed(error: HumancastError): void;
}

/** The service's side of the process that encodes one live push. */
export class EncoderProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #logger: Logger;
  readonly #bytes = new ByteQueue();
  readonly #ended = Promise.withResolvers<void>();
  #head: ReturnType<typeof readWireHeader> | undefined;
  #ready = Promise.withResolvers<void>();
  #handlers: EncoderHandlers | undefined;
  #inFlight = 0;
  #over = false;
  #complaints = '';

  constructor(logger: Logger, command: readonly string[] = ENCODER_COMMAND) {
    this.#logger = logger;
    const { program, args } = encoderCommandLine(command);
    this.#child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: toolEnvironment(),
    });
    this.#ready.promise.catch(() => {});
    this.#ended.promise.catch(() => {});
    this.#child.stdout.on('data', (data: Buffer) => this.#read(data));
    this.#child.stderr.on('data', (data: Buffer) => {
      this.#complaints = (this.#complaints + data.toString()).slice(-STDERR_LIMIT_BYTES);
    });
    // The encoder's exit also reports a broken pipe.
    this.#child.stdin.on('error', () => {});
    this.#child.once('error', (error) => this.#fail('encoder_failed', error.message));
    this.#child.once('close', (code, signal) => this.#exited(code, signal));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isUsable(): boolean {
    return !this.#over;
  }

  /** Number of sent messages that have not been processed. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** @param backdrop Required if the set-up merges. @throws HumancastError `encoder_failed`. */
  async begin(setup: EncoderSetup, handlers: EncoderHandlers, backdrop?: Backdrop): Promise<void> {
    await this.#ready.promise;
    this.#handlers = handlers;
    this.#ready = Promise.withResolvers<void>();
    this.#write({ kind: TO_ENCODER.setup }, Buffer.from(JSON.stringify(setup)));
    await this.#ready.promise;
    if (backdrop) this.#send({ kind: TO_ENCODER.below }, backdrop.below);
    if (backdrop?.above) this.#send({ kind: TO_ENCODER.above }, backdrop.above);
  }

  /** Sends one frame in the set-up's format, to be encoded `count` times. The bytes must not change afterward. */
  encode(bytes: Buffer, count: number): void {
    this.#send({ kind: TO_ENCODER.frame, count }, bytes);
  }

  /** Encodes the last frame another `count` times. */
  repeat(count: number): void {
    this.#send({ kind: TO_ENCODER.repeat, count });
  }

  /** Sends an encoded keyframe as the frame to repeat. */
  still({ codec, alpha }: Pick<Rendition, 'codec'> & { readonly alpha?: Rendition['alpha'] }, bytes: Buffer): void {
    this.#send({ kind: TO_ENCODER.still, rendition: codec === 'vp8' ? 0 : 1, count: alpha ? 1 : 0 }, bytes);
  }

  /** Resolves when the frames of everything sent have been received. @throws HumancastError if the encoder has failed. */
  async end(): Promise<void> {
    if (!this.#over) this.#write({ kind: TO_ENCODER.end });
    await this.#ended.promise;
  }

  /** Kills the process; may be called at any time, also repeatedly. */
  kill(): void {
    this.#over = true;
    this.#child.kill('SIGKILL');
  }

  #send(head: WireHead, body?: Buffer): void {
    if (this.#over) return;
    this.#inFlight++;
    this.#write(head, body);
  }

  #write(head: WireHead, body = NOTHING): void {
    this.#child.stdin.cork();
    this.#child.stdin.write(wireHeader(head, body.length));
    if (body.length > 0) this.#child.stdin.write(body);
    this.#child.stdin.uncork();
  }

  #read(data: Buffer): void {
    this.#bytes.push(data);
    for (let message = this.#next(); message; message = this.#next()) this.#handle(message);
  }

  #next(): WireMessage | undefined {
    if (!this.#head) {
      const header = this.#bytes.take(WIRE_HEADER_BYTES);
      if (!header) return undefined;
      this.#head = readWireHeader(header);
    }
    const body = this.#bytes.take(this.#head.bodyBytes);
    if (!body) return undefined;
    const message = { ...this.#head, body };
    this.#head = undefined;
    return message;
  }

  #handle({ kind, rendition, keyframe, count, body }: WireMessage): void {
    switch (kind) {
      case FROM_ENCODER.ready:
        this.#ready.resolve();
        break;
      case FROM_ENCODER.frame:
        this.#handlers?.onFrame(rendition, count, keyframe, body);
        break;
      case FROM_ENCODER.renditions:
        this.#handlers?.onRenditions(rendition);
        break;
      case FROM_ENCODER.taken:
        this.#inFlight--;
        this.#handlers?.onTaken();
        break;
      case FROM_ENCODER.failed: {
        const { code, message } = JSON.parse(body.toString()) as { code: ErrorCode; message: string };
        this.#fail(code, message);
        break;
      }
      case FROM_ENCODER.ended:
        this.#over = true;
        this.#ended.resolve();
        break;
    }
  }

  #exited(code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#complaints !== '')
      this.#logger.warn({ encoder: this.pid, text: this.#complaints }, 'encoder wrote to stderr');
    this.#fail('encoder_failed', `the encoder exited with ${signal ?? `exit code ${code}`}`);
  }

  #fail(code: ErrorCode, message: string): void {
    const error = new HumancastError(code, message);
    this.#ready.reject(error);
    this.#ended.reject(error);
    if (this.#over) return;
    this.#over = true;
    this.#handlers?.onFailed(error);
  }
}
