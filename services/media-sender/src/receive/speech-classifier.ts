import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { HEARD_FRAME_SAMPLES, HEARD_RATE } from './audio-receiver.js';

/** The strictest mode of libfvad: it misses the quietest speech, and takes the least noise for speech. */
const MODE = 3;

/** The functions of libfvad that are called (fvad.h). Memory is addressed by offsets. */
interface Libfvad {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  malloc(bytes: number): number;
  fvad_new(): number;
  fvad_free(detector: number): void;
  fvad_set_mode(detector: number, mode: number): number;
  fvad_set_sample_rate(detector: number, rate: number): number;
  fvad_process(detector: number, pcm: number, samples: number): number;
}

/** The part of Node.js' WebAssembly that is used; its types are in the DOM's library only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

let shared: { readonly fvad: Libfvad; readonly pcm: number } | undefined;

/** Tells speech from stationary noise by the spectrum: libfvad, the VAD of WebRTC. */
export class SpeechClassifier {
  readonly #detector: number;
  #isFree = false;

  constructor() {
    shared ??= load();
    const { fvad } = shared;
    this.#detector = fvad.fvad_new();
    const isReady =
      this.#detector !== 0 &&
      fvad.fvad_set_mode(this.#detector, MODE) === 0 &&
      fvad.fvad_set_sample_rate(this.#detector, HEARD_RATE) === 0;
    if (!isReady) throw new Error('libfvad has no memory left');
  }

  /** @param pcm 20 ms at 16 kHz. */
  isSpeech(pcm: Int16Array): boolean {
    const { fvad, pcm: at } = shared as NonNullable<typeof shared>;
    new Int16Array(fvad.memory.buffer, at, HEARD_FRAME_SAMPLES).set(pcm);
    return fvad.fvad_process(this.#detector, at, HEARD_FRAME_SAMPLES) === 1;
  }

  /** Frees its memory; it is not used again. */
  free(): void {
    if (!this.#isFree) shared?.fvad.fvad_free(this.#detector);
    this.#isFree = true;
  }
}

function load() {
  const module = createRequire(import.meta.url).resolve('@ozymandiasthegreat/vad');
  const wasm = readFileSync(new URL('../dist/libfvad.wasm', `file://${module}`));
  const fvad = new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports as Libfvad;
  fvad._initialize();
  return { fvad, pcm: fvad.malloc(2 * HEARD_FRAME_SAMPLES) };
}
