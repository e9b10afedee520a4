import { type LiveStart } from '@humancast/protocol';
import { fromInt16, HumancastError, PCM_RATE, Resampler, toInt16 } from '@humancast/shared';

const BYTES = { s16: 2, f32: 4 } as const;

/** Converts a producer's PCM to 16 bits at `PCM_RATE`. */
export class AudioIntake {
  readonly #format: LiveStart['sampleFormat'];
  readonly #resampler: Resampler | undefined;
  #clamped = 0;

  constructor({ sampleRate, sampleFormat }: Pick<LiveStart, 'sampleRate' | 'sampleFormat'>) {
    this.#format = sampleFormat;
    this.#resampler = sampleRate === PCM_RATE ? undefined : new Resampler(sampleRate, PCM_RATE);
  }

  /** Number of float samples outside −1…1 (clamped) or NaN (replaced with 0). */
  get clampedSamples(): number {
    return this.#clamped;
  }

  /** @returns The number of the producer's samples in a message. */
  samplesIn(bytes: Buffer): number {
    return Math.floor(bytes.length / BYTES[this.#format]);
  }

  /** Pushes silence in place of the producer's samples. */
  silence(samples: number): Int16Array {
    return this.push(Buffer.alloc(samples * BYTES[this.#format]));
  }

  /** @throws HumancastError `live_audio_size`. */
  push(bytes: Buffer): Int16Array {
    const size = BYTES[this.#format];
    if (bytes.length % size !== 0) {
      throw new HumancastError('live_audio_size', {
        detail: `${bytes.length} bytes of audio are not a whole number of ${this.#format} samples of ${size} bytes`,
        extra: { bytes: bytes.length },
      });
    }
    if (this.#format === 's16' && !this.#resampler) return aligned(bytes, Int16Array);
    const samples = this.#format === 's16' ? fromInt16(aligned(bytes, Int16Array)) : this.#fromFloat32(bytes);
    return toInt16(this.#resampler ? this.#resampler.push(samples) : samples);
  }

  end(): Int16Array {
    return toInt16(this.#resampler?.end() ?? new Float64Array(0));
  }

  #fromFloat32(bytes: Buffer): Float64Array {
    const samples = Float64Array.from(aligned(bytes, Float32Array));
    for (let i = 0; i < samples.length; i++) {
      const sample = samples[i] as number;
      if (sample >= -1 && sample <= 1) continue;
      samples[i] = Number.isNaN(sample) ? 0 : Math.sign(sample);
      this.#clamped++;
    }
    return samples;
  }
}

/** Copies bytes into an aligned typed array. The bytes must be little-endian, as on all platforms of Node.js. */
function aligned<T extends Int16Array | Float32Array>(
  bytes: Buffer,
  Type: { new (length: number): T; readonly BYTES_PER_ELEMENT: number },
): T {
  const samples = new Type(bytes.length / Type.BYTES_PER_ELEMENT);
  Buffer.from(samples.buffer).set(bytes);
  return samples;
}
