import { PCM_CHUNK_SAMPLES, PCM_RATE } from '@humancast/shared';
import { ByteQueue } from './byte-queue.js';

const BYTES_PER_SAMPLE = 2;
const CHUNK_BYTES = PCM_CHUNK_SAMPLES * BYTES_PER_SAMPLE;
/** Audio that exceeds its stated end by less than this is encoder padding (two HE-AAC frames are 93 ms). */
const PADDING_BYTES = 0.1 * PCM_RATE * BYTES_PER_SAMPLE;

/**
 * Splits s16le PCM into stored chunks and removes encoder padding from its end, which would be audible as a pause in loops
 * and between segments.
 */
export class PcmChunker {
  readonly #bytes = new ByteQueue();
  readonly #statedBytes: number | undefined;
  #sampleCount = 0;

  /** @param statedSamples Length of the audio according to its file. */
  constructor(statedSamples?: number) {
    this.#statedBytes = statedSamples === undefined ? undefined : Math.ceil(statedSamples) * BYTES_PER_SAMPLE;
  }

  /** Number of samples returned so far. */
  get sampleCount(): number {
    return this.#sampleCount;
  }

  /** Adds samples and withholds what may be padding. @returns The completed chunks. */
  push(data: Buffer): Buffer[] {
    this.#bytes.push(data);
    const chunks: Buffer[] = [];
    while (this.#bytes.length >= CHUNK_BYTES + PADDING_BYTES) chunks.push(...this.#take(CHUNK_BYTES));
    return chunks;
  }

  /** @returns The rest; the last chunk may be shorter. An incomplete sample is dropped. */
  end(): Buffer[] {
    const left = this.#bytes.length - this.#paddingBytes();
    const complete = left - (left % BYTES_PER_SAMPLE);
    return complete > CHUNK_BYTES
      ? [...this.#take(CHUNK_BYTES), ...this.#take(complete - CHUNK_BYTES)]
      : this.#take(complete);
  }

  #paddingBytes(): number {
    if (this.#statedBytes === undefined) return 0;
    const excess = this.#sampleCount * BYTES_PER_SAMPLE + this.#bytes.length - this.#statedBytes;
    return excess > 0 && excess <= PADDING_BYTES ? excess : 0;
  }

  #take(length: number): Buffer[] {
    const chunk = this.#bytes.take(length);
    if (!chunk || chunk.length === 0) return [];
    this.#sampleCount += chunk.length / BYTES_PER_SAMPLE;
    return [chunk];
  }
}
