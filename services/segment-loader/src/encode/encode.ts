import type { Readable } from 'node:stream';
import { type Codec } from '@humancast/protocol';
import { HumancastError, PCM_RATE } from '@humancast/shared';
import { type ToolExit, ToolProcess } from '../ffmpeg/tool-process.js';
import { AnnexBParser } from './annexb-parser.js';
import type { EncodeJob, OutputRendition } from './encode-job.js';
import { EncoderLog } from './encoder-log.js';
import type { FrameParser } from './frame-parser.js';
import { framesPerSecond } from './frame-rate.js';
import { GopAssembler } from './gop-assembler.js';
import { IvfParser } from './ivf-parser.js';
import { PcmChunker } from './pcm-chunker.js';

/** Receives encoded parts. While one is being written, nothing more is read, and ffmpeg waits. */
export interface PartSink {
  writeGop(rendition: string, index: number, gop: Buffer): Promise<void>;
  writePcm(index: number, pcm: Buffer): Promise<void>;
}

export interface EncodeLimits {
  readonly maxDurationSeconds: number;
  /** Time without output after which ffmpeg counts as stalled. */
  readonly stallMs: number;
  /** Time after which the run is abandoned. */
  readonly totalMs: number;
}

export interface Encoded {
  /** Frames of each rendition. */
  readonly frames: number;
  readonly pcmSamples: number;
  /** Bytes of all GOPs, by rendition id. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly exit: ToolExit;
  readonly log: EncoderLog;
}

const PARSERS: Readonly<Record<Codec, new () => FrameParser>> = { vp8: IvfParser, h264: AnnexBParser };

/**
 * Runs one ffmpeg process and stores its output as parts. It succeeds with any amount of output; `validateOutput` decides
 * whether that is enough.
 * @param inputs Descriptors of the files, in the order of the job's arguments.
 * @param onFrames Receives the number of frames of the first rendition.
 * @throws HumancastError `media_too_long`, `media_undecodable` (stalled, timed out, or invalid output); errors of the sink;
 * the signal's reason.
 */
export async function encode(
  job: EncodeJob,
  inputs: readonly number[],
  limits: EncodeLimits,
  sink: PartSink,
  signal: AbortSignal,
  onFrames: (frames: number) => void = () => {},
): Promise<Encoded> {
  signal.throwIfAborted();
  return new Encoding(job, limits, sink, onFrames).run(inputs, signal);
}

class Encoding {
  readonly #job: EncodeJob;
  readonly #limits: EncodeLimits;
  readonly #sink: PartSink;
  readonly #onFrames: (frames: number) => void;
  readonly #log = new EncoderLog();
  readonly #bytes = new Map<string, number>();
  #lastByteMs = performance.now();
  #writing = 0;

  constructor(job: EncodeJob, limits: EncodeLimits, sink: PartSink, onFrames: (frames: number) => void) {
    this.#job = job;
    this.#limits = limits;
    this.#sink = sink;
    this.#onFrames = onFrames;
  }

  async run(inputs: readonly number[], signal: AbortSignal): Promise<Encoded> {
    const { renditions, hasAudio } = this.#job;
    const outputCount = renditions.length + (hasAudio ? 1 : 0);
    const tool = new ToolProcess('ffmpeg', this.#job.arguments, inputs, outputCount);
    let failure: { readonly error: unknown } | undefined;
    const fail = (error: unknown) => {
      failure ??= { error };
      tool.kill();
    };
    const onAbort = () => fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const watch = setInterval(() => this.#failWhenStuck(fail), 1000);
    const limit = setTimeout(() => fail(slow(this.#limits.totalMs)), this.#limits.totalMs);
    try {
      const videos = renditions.map((rendition, i) => this.#takeVideo(rendition, tool.outputs[i], i === 0));
      const pcm = hasAudio ? this.#takePcm(tool.outputs[renditions.length]) : Promise.resolve(0);
      const log = this.#takeLog(tool.stderr);
      tool.stdout.resume();
      // All of them end before this returns, so that no part is written after a failure.
      for (const part of [...videos, pcm, log, tool.exited]) part.catch(fail);
      await Promise.allSettled([...videos, pcm, log, tool.exited]);
      if (failure) throw asEncoderFailure(failure.error);
      const frames = sameFrames(await Promise.all(videos));
      return { frames, pcmSamples: await pcm, bytes: this.#bytes, exit: await tool.exited, log: this.#log };
    } finally {
      clearInterval(watch);
      clearTimeout(limit);
      signal.removeEventListener('abort', onAbort);
      tool.kill();
    }
  }

  async #takeVideo({ id, codec }: OutputRendition, stream: Readable | undefined, isFirst: boolean): Promise<number> {
    const parser = new PARSERS[codec]();
    const assembler = new GopAssembler(this.#job.gopFrames);
    const maxFrames = this.#limits.maxDurationSeconds * framesPerSecond(this.#job.fps);
    const store = async (gop: Buffer | undefined) => {
      if (!gop) return;
      this.#bytes.set(id, (this.#bytes.get(id) ?? 0) + gop.length);
      await this.#write(this.#sink.writeGop(id, assembler.gopCount - 1, gop));
    };
    const take = async (frames: ReturnType<FrameParser['push']>) => {
      for (const frame of frames) await store(assembler.push(frame));
      if (assembler.frameCount > maxFrames) throw tooLong(this.#limits.maxDurationSeconds);
      if (isFirst) this.#onFrames(assembler.frameCount);
    };
    for await (const chunk of this.#chunks(stream)) await take(parser.push(chunk));
    await take(parser.end());
    await store(assembler.end());
    return assembler.frameCount;
  }

  async #takePcm(stream: Readable | undefined): Promise<number> {
    const chunker = new PcmChunker(this.#job.statedSamples);
    let index = 0;
    const store = async (chunks: readonly Buffer[]) => {
      for (const chunk of chunks) await this.#write(this.#sink.writePcm(index++, chunk));
      if (chunker.sampleCount > this.#limits.maxDurationSeconds * PCM_RATE) {
        throw tooLong(this.#limits.maxDurationSeconds);
      }
    };
    for await (const chunk of this.#chunks(stream)) await store(chunker.push(chunk));
    await store(chunker.end());
    return chunker.sampleCount;
  }

  async #takeLog(stream: Readable): Promise<void> {
    for await (const chunk of stream as AsyncIterable<Buffer>) this.#log.push(chunk);
  }

  async *#chunks(stream: Readable | undefined): AsyncGenerator<Buffer> {
    if (!stream) throw new TypeError('ffmpeg has too few outputs');
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      this.#lastByteMs = performance.now();
      yield chunk;
    }
  }

  async #write(write: Promise<void>): Promise<void> {
    this.#writing++;
    try {
      await write;
    } finally {
      this.#writing--;
      this.#lastByteMs = performance.now();
    }
  }

  /** Fails a stalled run. Back-pressure from the sink does not count as a stall. */
  #failWhenStuck(fail: (error: unknown) => void): void {
    if (this.#writing > 0 || performance.now() - this.#lastByteMs <= this.#limits.stallMs) return;
    fail(new HumancastError('media_undecodable', `ffmpeg produced no output for ${this.#limits.stallMs / 1000} s`));
  }
}

/** Maps a parser's error, which means that the encoder's output is invalid. */
function asEncoderFailure(error: unknown): unknown {
  return error instanceof RangeError
    ? new HumancastError('media_undecodable', { detail: error.message, cause: error })
    : error;
}

function sameFrames(counts: readonly number[]): number {
  const [first = 0, ...others] = counts;
  if (others.some((count) => count !== first)) {
    throw new HumancastError('media_undecodable', `renditions have different numbers of frames: ${counts.join(', ')}`);
  }
  return first;
}

function slow(totalMs: number): HumancastError {
  return new HumancastError(
    'media_undecodable',
    `decoding and encoding took longer than the ${Math.round(totalMs / 1000)} s that are allowed`,
  );
}

function tooLong(maxDurationSeconds: number): HumancastError {
  return new HumancastError('media_too_long', {
    detail: `the media is longer than the ${maxDurationSeconds} s that are allowed`,
    extra: { maxDurationSeconds },
  });
}
