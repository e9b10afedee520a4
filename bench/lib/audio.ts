import { Decoder } from '@evan/opus';

const RATE = 48_000;

/** Decodes Opus to samples from −1 to 1 at 48 kHz. Needs one instance per stream, because decoding is stateful. */
export class AudioTrackDecoder {
  readonly #decoder = new Decoder({ channels: 1, sample_rate: RATE });

  decode(packet: Buffer): Float32Array {
    const bytes = this.#decoder.decode(packet);
    const pcm = new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    return Float32Array.from(pcm, (sample) => sample / 32_768);
  }
}

/** @returns the root mean square. */
export function levelOf(samples: Float32Array): number {
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}
