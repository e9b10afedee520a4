/** In the audio thread: hands the samples of its input to the page, a batch at a time, with their place. */

interface Port {
  postMessage(message: unknown, transfer?: unknown[]): void;
}
declare const currentFrame: number;
declare abstract class AudioWorkletProcessor {
  readonly port: Port;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

/** A whole number of the blocks of 128 in which Web Audio counts. */
const BATCH_SAMPLES = 40 * 128;

class SampleTap extends AudioWorkletProcessor {
  #samples = new Float32Array(BATCH_SAMPLES);
  #count = 0;
  #frame = 0;

  process([input]: Float32Array[][]): boolean {
    const samples = input?.[0];
    if (!samples) {
      this.#count = 0; // nothing is connected: what comes next is not continuous with what was
      return true;
    }
    if (this.#count === 0) this.#frame = currentFrame;
    this.#samples.set(samples, this.#count);
    this.#count += samples.length;
    if (this.#count === BATCH_SAMPLES) this.#send();
    return true;
  }

  #send(): void {
    this.port.postMessage({ frame: this.#frame, samples: this.#samples }, [this.#samples.buffer]);
    this.#samples = new Float32Array(BATCH_SAMPLES);
    this.#count = 0;
  }
}

registerProcessor('sample-tap', SampleTap);
