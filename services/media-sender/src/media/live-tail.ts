import { PCM_CHUNK_SAMPLES } from '@humancast/shared';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';

/**
 * The newest part of an open segment in memory: whole GOPs and PCM chunks up to the last frame and sample. Earlier media is
 * in the media store.
 */
export class LiveTail {
  readonly #gopFrames: number;
  /** Frames from `firstFrame` on, for each rendition; those that are not steady have gaps of whole GOPs. */
  readonly #frames: PacketizedFrame[][];
  readonly #steady: readonly number[];
  readonly #chunks = new Map<number, Int16Array>();
  /** `undefined` until media has arrived. */
  #firstFrame: number | undefined;
  #firstChunk: number | undefined;
  #endSample = 0;

  /** @param steady Renditions that have every frame, see `steadyRenditions()`. */
  constructor(renditions: number, steady: readonly number[], gopFrames: number) {
    this.#gopFrames = gopFrames;
    this.#steady = steady;
    this.#frames = Array.from({ length: renditions }, () => []);
  }

  /** First frame in memory, which begins a GOP. */
  get firstFrame(): number {
    return this.#firstFrame ?? 0;
  }

  /** Number of frames that the steady renditions have. */
  get endFrame(): number {
    return this.firstFrame + Math.min(...this.#steady.map((rendition) => this.#frames[rendition]?.length ?? 0));
  }

  /** First PCM sample in memory, which begins a chunk. */
  get firstSample(): number {
    return (this.#firstChunk ?? 0) * PCM_CHUNK_SAMPLES;
  }

  get endSample(): number {
    return Math.max(this.#endSample, this.firstSample);
  }

  /** A trimmed stream may begin within a GOP; frames before the next GOP are stored, and left out here. */
  addFrame(rendition: number, number: number, frame: PacketizedFrame): void {
    if (this.#firstFrame === undefined) {
      if (number % this.#gopFrames !== 0) return;
      this.#firstFrame = number;
    }
    const frames = this.#frames[rendition];
    if (!frames) return;
    const index = number - this.#firstFrame;
    // A gap of a rendition that was dropped for a time ends where a GOP begins. Of another gap, the rest is useless.
    const isNext = index === frames.length;
    if (isNext || (index > frames.length && number % this.#gopFrames === 0)) frames[index] = frame;
  }

  addSound(sample: number, pcm: Int16Array): void {
    this.#firstChunk ??= Math.ceil(sample / PCM_CHUNK_SAMPLES);
    for (let at = Math.max(0, this.firstSample - sample); at < pcm.length; ) {
      const index = Math.floor((sample + at) / PCM_CHUNK_SAMPLES);
      const offset = sample + at - index * PCM_CHUNK_SAMPLES;
      const piece = pcm.subarray(at, at + PCM_CHUNK_SAMPLES - offset);
      this.#chunk(index).set(piece, offset);
      at += piece.length;
    }
    this.#endSample = sample + pcm.length;
  }

  frame(rendition: number, number: number): PacketizedFrame | undefined {
    return this.#firstFrame === undefined ? undefined : this.#frames[rendition]?.[number - this.#firstFrame];
  }

  /** Samples from `firstSample` on; zeros where there are none. */
  readPcm(sample: number, out: Int16Array): void {
    out.fill(0);
    for (let at = 0; at < out.length; ) {
      const index = Math.floor((sample + at) / PCM_CHUNK_SAMPLES);
      const offset = sample + at - index * PCM_CHUNK_SAMPLES;
      const run = Math.min(PCM_CHUNK_SAMPLES - offset, out.length - at);
      const chunk = this.#chunks.get(index);
      if (chunk) out.set(chunk.subarray(offset, offset + run), at);
      at += run;
    }
  }

  /** Releases GOPs and chunks that end before a frame and a sample. */
  drop(beforeFrame: number, beforeSample: number): void {
    const frame = Math.min(beforeFrame - (beforeFrame % this.#gopFrames), this.endFrame);
    const gopStart = frame - (frame % this.#gopFrames);
    if (this.#firstFrame !== undefined && gopStart > this.#firstFrame) {
      for (const frames of this.#frames) frames.splice(0, gopStart - this.#firstFrame);
      this.#firstFrame = gopStart;
    }
    const chunk = Math.floor(Math.min(beforeSample, this.endSample) / PCM_CHUNK_SAMPLES);
    if (this.#firstChunk === undefined || chunk <= this.#firstChunk) return;
    for (let i = this.#firstChunk; i < chunk; i++) this.#chunks.delete(i);
    this.#firstChunk = chunk;
  }

  #chunk(index: number): Int16Array {
    const known = this.#chunks.get(index);
    if (known) return known;
    const chunk = new Int16Array(PCM_CHUNK_SAMPLES);
    this.#chunks.set(index, chunk);
    return chunk;
  }
}
