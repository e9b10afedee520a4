import { type Heard, LISTEN_SAMPLE_RATE } from '@humancast/protocol';
import { fromInt16, Resampler, toInt16 } from '@humancast/shared';

/** Viewers whose filters are kept. */
const MOST_VIEWERS = 1000;

/** Brings the voices of one session to a listener's sample rate, 20 ms at a time, 1.7 ms later. */
export class VoiceRate {
  readonly #rate: number;
  readonly #resamplers = new Map<string, Resampler>();

  constructor(rate: number) {
    this.#rate = rate;
  }

  /** @returns PCM of 16 bits of the same duration. */
  convert({ viewer, gapMs, droppedMs }: Heard, pcm: Buffer): Buffer {
    if (this.#rate === LISTEN_SAMPLE_RATE) return pcm;
    // What comes after a gap has nothing to do with what came before it.
    const known = gapMs === undefined && droppedMs === undefined ? this.#resamplers.get(viewer) : undefined;
    const samples = new Int16Array(pcm.length >> 1);
    Buffer.from(samples.buffer).set(pcm.subarray(0, samples.byteLength));
    const converted = toInt16((known ?? this.#start(viewer)).push(fromInt16(samples)));
    return Buffer.from(converted.buffer);
  }

  #start(viewer: string): Resampler {
    const resampler = new Resampler(LISTEN_SAMPLE_RATE, this.#rate);
    // Then each frame determines as much output as it is long.
    resampler.push(new Float64Array(resampler.lookAheadSamples));
    this.#resamplers.delete(viewer);
    this.#resamplers.set(viewer, resampler);
    const [oldest] = this.#resamplers.keys();
    if (this.#resamplers.size > MOST_VIEWERS && oldest !== undefined) this.#resamplers.delete(oldest);
    return resampler;
  }
}
