import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { MAX_OPUS_TICKS } from './opus-packet.js';

const OPUS_OK = 0;
/** Length of the longest packet that is decoded; a datagram is shorter. */
const MAX_BYTES = 2048;
const TICKS_RATE = 48_000;

/** The functions of libopus that are called (opus.h). Memory is addressed by offsets. */
interface Libopus {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  malloc(bytes: number): number;
  opus_decoder_get_size(channels: number): number;
  opus_decoder_init(decoder: number, rate: number, channels: number): number;
  opus_decode(decoder: number, data: number, bytes: number, pcm: number, samples: number, fec: number): number;
}

/** The part of Node.js' WebAssembly that is used; its types are in the DOM's library only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

let compiled: object | undefined;

/**
 * Decodes a viewer's Opus to mono PCM. The encoder's package has a decoder, too, but it can neither conceal nor use in-band
 * FEC, and its native build decodes what strangers send within this process' memory. Here each decoder is a WebAssembly
 * instance with a memory of its own: what a packet does to it reaches no other viewer.
 */
export class OpusDecoder {
  readonly #opus: Libopus;
  readonly #decoder: number;
  readonly #data: number;
  readonly #pcm: number;
  readonly #samplesPerTick: number;
  readonly #maxSamples: number;

  /** @param rate 8000, 12000, 16000, 24000 or 48000 Hz. */
  constructor(rate: number) {
    compiled ??= compile();
    const unused = () => 0;
    const { exports } = new WebAssembly.Instance(compiled, {
      wasi_snapshot_preview1: { fd_seek: unused, fd_write: unused, fd_close: unused, proc_exit: unused },
      env: { emscripten_notify_memory_growth: unused },
    });
    this.#opus = exports as Libopus;
    this.#opus._initialize();
    this.#samplesPerTick = rate / TICKS_RATE;
    this.#maxSamples = MAX_OPUS_TICKS * this.#samplesPerTick;
    this.#decoder = this.#opus.malloc(this.#opus.opus_decoder_get_size(1));
    this.#data = this.#opus.malloc(MAX_BYTES);
    this.#pcm = this.#opus.malloc(2 * this.#maxSamples);
    if (this.#opus.opus_decoder_init(this.#decoder, rate, 1) !== OPUS_OK) throw new RangeError(`no Opus at ${rate} Hz`);
  }

  /** @returns The PCM, valid until the next call; `undefined` if the packet is damaged. */
  decode(packet: Buffer): Int16Array | undefined {
    return this.#run(packet, this.#maxSamples, 0);
  }

  /**
   * Makes up audio that was lost (RFC 6716 §4.4).
   * @param ticks Its duration: a multiple of 2.5 ms, 120 ms at most.
   * @param next The packet after it, whose in-band FEC is used if it has any.
   * @returns The PCM, valid until the next call.
   */
  conceal(ticks: number, next?: Buffer): Int16Array | undefined {
    return this.#run(next, ticks * this.#samplesPerTick, next ? 1 : 0);
  }

  #run(packet: Buffer | undefined, samples: number, fec: 0 | 1): Int16Array | undefined {
    if (packet && packet.length > MAX_BYTES) return undefined;
    if (packet) new Uint8Array(this.#opus.memory.buffer, this.#data, packet.length).set(packet);
    const data = packet ? this.#data : 0;
    const decoded = this.#opus.opus_decode(this.#decoder, data, packet?.length ?? 0, this.#pcm, samples, fec);
    return decoded > 0 ? new Int16Array(this.#opus.memory.buffer, this.#pcm, decoded) : undefined;
  }
}

function compile(): object {
  return new WebAssembly.Module(readFileSync(createRequire(import.meta.url).resolve('@evan/opus/wasm/simd.wasm')));
}
