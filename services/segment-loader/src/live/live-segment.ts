import {
  type MissingRendition,
  type Rendition,
  TEXT_CUES_LIMIT,
  TEXT_LENGTH_LIMIT,
  type TextCue,
} from '@humancast/protocol';
import {
  durationSamplesOf,
  HumancastError,
  type LivePart,
  type LiveWriter,
  type MediaStore,
  PCM_CHUNK_SAMPLES,
  PCM_SAMPLE_BYTES,
  type Retention,
  type SegmentManifest,
  steadyRenditions,
} from '@humancast/shared';
import { ByteQueue } from '../encode/byte-queue.js';
import { GopAssembler } from '../encode/gop-assembler.js';
import { topOf } from '../encode/ladder.js';

const CHUNK_BYTES = PCM_CHUNK_SAMPLES * PCM_SAMPLE_BYTES;
/** Time for which late readers still find the end in the live store. */
const LINGER_SECONDS = 60;
/** Time to live of an open segment's manifest, renewed while it grows. */
const OPEN_TTL_SECONDS = 60;

export interface LiveSegmentParts {
  readonly store: MediaStore;
  readonly live: LiveWriter;
  /** Called once, when the stores fail. */
  readonly onFailed: (error: HumancastError) => void;
}

export type LiveSegmentFailure = NonNullable<SegmentManifest['failure']>;

/**
 * A segment while it is being made: every frame and piece of audio is published at once and stored with its complete GOP or
 * chunk. No call waits for the stores; unfinished writes are counted.
 */
export class LiveSegment {
  readonly #parts: LiveSegmentParts;
  readonly #retention: Retention;
  readonly #gops: readonly GopAssembler[];
  /** Renditions that have every frame. */
  readonly #steady: readonly number[];
  /** The GOP that is being assembled, by rendition. */
  readonly #gopIndex: number[];
  #lastGopNoted = -1;
  readonly #bytes: number[];
  readonly #audio = new ByteQueue();
  /** Positions in the live store where recent GOPs and chunks begin. */
  readonly #gopPlaces = new Map<number, string>();
  readonly #chunkPlaces = new Map<number, string>();
  readonly #gopsStored: number[];
  #chunks = 0;
  #chunksStored = 0;
  #pcmSamples = 0;
  #textLength = 0;
  #manifest: SegmentManifest;
  #pendingBytes = 0;
  #failed = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(manifest: SegmentManifest, retention: Retention, parts: LiveSegmentParts) {
    this.#manifest = manifest;
    this.#retention = retention;
    this.#parts = parts;
    this.#gops = manifest.renditions.map(() => new GopAssembler(manifest.gopFrames));
    this.#steady = steadyRenditions(manifest.renditions);
    this.#gopIndex = manifest.renditions.map(() => 0);
    this.#bytes = manifest.renditions.map(() => 0);
    this.#gopsStored = manifest.renditions.map(() => 0);
  }

  get id(): string {
    return this.#manifest.id;
  }

  /** Number of frames that can be played. */
  get frames(): number {
    return Math.min(...this.#steady.map((rendition) => this.#gops[rendition]?.frameCount ?? 0));
  }

  /** The rendition whose frames count as those of the segment. */
  get counted(): number {
    return this.#steady[0] ?? 0;
  }

  get pcmSamples(): number {
    return this.#pcmSamples;
  }

  /** Size of unfinished writes, bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Makes the segment known, so that it can be queued.
   * @throws HumancastError `media_store_full`; an error if the store is unreachable.
   */
  async open(): Promise<void> {
    await this.#parts.store.putManifest(this.#manifest, { pinned: false, ttlSeconds: OPEN_TTL_SECONDS });
  }

  /**
   * @returns A promise that resolves when media-senders can read the frame. Errors also go to `onFailed`, so it need not be
   * awaited.
   */
  addFrame(rendition: number, number: number, keyframe: boolean, data: Buffer): Promise<unknown> {
    const gop = this.#gops[rendition];
    if (!gop) return Promise.resolve();
    const index = Math.floor(number / this.#manifest.gopFrames);
    this.#gopIndex[rendition] = index;
    const appended = this.#append({ kind: 'frame', rendition, frame: number, keyframe, data }, data.length);
    if (index > this.#lastGopNoted) {
      this.#lastGopNoted = index;
      this.#note(appended, this.#gopPlaces, index);
    }
    this.#bytes[rendition] = (this.#bytes[rendition] ?? 0) + data.length;
    const complete = gop.push({ keyframe, data });
    if (complete) this.#storeGop(rendition, index, complete);
    return appended;
  }

  addAudio(samples: Int16Array): void {
    // Pieces end at chunk boundaries.
    for (let at = 0; at < samples.length; ) {
      const room = PCM_CHUNK_SAMPLES - (this.#pcmSamples % PCM_CHUNK_SAMPLES);
      const piece = samples.subarray(at, at + room);
      this.#addPiece(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
      at += piece.length;
    }
  }

  /** @throws HumancastError `bad_message` if it is out of order, or one too many. */
  addText(cue: TextCue): void {
    const text = this.#manifest.text ?? [];
    if (cue.untilMs <= cue.atMs) throw new HumancastError('bad_message', 'untilMs must be greater than atMs');
    if (cue.atMs < (text.at(-1)?.atMs ?? 0)) throw new HumancastError('bad_message', 'atMs: text is sent in order');
    this.#textLength += cue.text.length;
    if (text.length >= TEXT_CUES_LIMIT || this.#textLength > TEXT_LENGTH_LIMIT) {
      const most = `${TEXT_CUES_LIMIT} pieces of text, and ${TEXT_LENGTH_LIMIT} characters`;
      throw new HumancastError('bad_message', `a segment has at most ${most}`);
    }
    this.#manifest = { ...this.#manifest, text: [...text, cue] };
    void this.#append({ kind: 'text', number: text.length, cue }, cue.text.length);
    // For media-senders that come later: what was appended may be trimmed by then.
    this.#track(this.open(), 0);
  }

  /** Tells media-senders, about once a second, that the segment is still growing. */
  keepAlive(): void {
    void this.#append({ kind: 'alive' }, 0);
    this.#track(this.#parts.store.touch(this.id), 0);
  }

  /**
   * Completes the segment with what has come, or marks it as failed if nothing has; waits until all is stored.
   * @param failure Why it ended early, if it did.
   * @throws HumancastError if the stores fail; nothing is left then except what is playing.
   */
  async close(failure?: LiveSegmentFailure): Promise<SegmentManifest> {
    this.#gops.forEach((gop, rendition) => {
      const last = gop.end();
      if (last) this.#storeGop(rendition, this.#gopIndex[rendition] ?? 0, last);
    });
    if (this.#audio.length > 0) this.#storeChunk(this.#audio.length);
    await this.#writing;
    const manifest = this.#finalManifest(failure);
    this.#manifest = manifest;
    const { store, live } = this.#parts;
    // The manifest is complete before readers hear of the end, because they then read it.
    await store.putManifest(manifest, this.#retention);
    await live.append(this.id, [{ kind: 'end', manifest }]);
    await live.expire(this.id, LINGER_SECONDS);
    return manifest;
  }

  /** Removes the segment once pending writes have finished. */
  async discard(): Promise<void> {
    await this.#writing;
    const { store, live } = this.#parts;
    const frames = Math.max(...this.#gops.map((gop) => gop.frameCount));
    await store.discardParts({ ...this.#manifest, frames, pcmSamples: this.#pcmSamples });
    await store.delete(this.id);
    await live.expire(this.id, 0);
  }

  #finalManifest(failure: LiveSegmentFailure | undefined): SegmentManifest {
    const open = this.#manifest;
    const isEmpty = this.frames === 0;
    const why = failure ?? (isEmpty ? { code: 'live_empty', message: 'no media was sent' } : undefined);
    const isWhole = (i: number) => (this.#gops[i]?.frameCount ?? 0) >= this.frames;
    const renditions = open.renditions.map((rendition, i) => ({ ...rendition, bytes: this.#bytes[i] ?? 0 }));
    const whole = renditions.filter((_, i) => isWhole(i));
    const missing = renditions.filter((_, i) => !isWhole(i)).map((rendition) => missingOf(rendition, whole));
    return {
      ...open,
      state: isEmpty || this.#failed ? 'failed' : 'complete',
      frames: this.frames,
      pcmSamples: this.#pcmSamples,
      durationSamples: durationSamplesOf(this.frames, open.fps, this.#pcmSamples),
      renditions: whole,
      ...(missing.length > 0 && { missingRenditions: missing }),
      ...(why && { failure: why }),
    };
  }

  #addPiece(pcm: Buffer): void {
    const appended = this.#append({ kind: 'audio', sample: this.#pcmSamples, pcm }, pcm.length);
    if (this.#pcmSamples % PCM_CHUNK_SAMPLES === 0) this.#note(appended, this.#chunkPlaces, this.#chunks);
    this.#pcmSamples += pcm.length / PCM_SAMPLE_BYTES;
    this.#audio.push(pcm);
    if (this.#audio.length === CHUNK_BYTES) this.#storeChunk(CHUNK_BYTES);
  }

  #storeGop(rendition: number, index: number, gop: Buffer): void {
    const { id } = this.#manifest.renditions[rendition] as { id: string };
    const stored = this.#parts.store.writeGop(this.id, id, index, gop).then(() => {
      this.#gopsStored[rendition] = index + 1;
      return this.#trim();
    });
    this.#track(stored, gop.length);
  }

  #storeChunk(bytes: number): void {
    const chunk = this.#audio.take(bytes) as Buffer;
    const index = this.#chunks++;
    const stored = this.#parts.store.writePcm(this.id, index, chunk).then(() => {
      this.#chunksStored = index + 1;
      return this.#trim();
    });
    this.#track(stored, chunk.length);
  }

  /**
   * Trims the live store, but keeps the last stored GOP and chunk, so that a new reader finds no gap. Steady renditions are
   * stored after the others.
   */
  async #trim(): Promise<void> {
    const gop = Math.min(...this.#steady.map((rendition) => this.#gopsStored[rendition] ?? 0)) - 1;
    const chunk = this.#chunksStored - 1;
    const places = [this.#gopPlaces.get(gop), this.#chunkPlaces.get(chunk)];
    if (places[0] === undefined || places[1] === undefined) return;
    this.#gopPlaces.delete(gop - 1);
    this.#chunkPlaces.delete(chunk - 1);
    await this.#parts.live.trim(this.id, earlier(places[0], places[1]));
  }

  #append(part: LivePart, bytes: number): Promise<string> {
    const appended = this.#parts.live.append(this.id, [part]);
    this.#track(appended, bytes);
    return appended;
  }

  #note(appended: Promise<string>, places: Map<number, string>, index: number): void {
    appended.then(
      (place) => places.set(index, place),
      () => {},
    );
  }

  #track(write: Promise<unknown>, bytes: number): void {
    this.#pendingBytes += bytes;
    const settled = write.then(
      () => {
        this.#pendingBytes -= bytes;
      },
      (error: unknown) => {
        this.#pendingBytes -= bytes;
        this.#fail(error);
      },
    );
    const before = this.#writing;
    this.#writing = settled.then(() => before);
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const known = error instanceof HumancastError;
    const detail = 'the media store is unreachable; push again';
    this.#parts.onFailed(known ? error : new HumancastError('unavailable', { detail, cause: error }));
  }
}

/** A rendition with gaps is encoded again from a larger one that has none; without one, it stays missing. */
function missingOf({ bytes: _, ...rendition }: Rendition, whole: readonly Rendition[]): MissingRendition {
  const top = topOf(whole, rendition.codec);
  if (top && top.width >= rendition.width && top.height >= rendition.height) return rendition;
  const message = 'encoding was slower than real time, so parts of this rendition were left out';
  return { ...rendition, failure: { code: 'live_overloaded', message } };
}

/** @returns The earlier of two Redis stream IDs (milliseconds, then a count). */
function earlier(a: string, b: string): string {
  const [aMs = 0, aCount = 0] = a.split('-').map(Number);
  const [bMs = 0, bCount = 0] = b.split('-').map(Number);
  return aMs < bMs || (aMs === bMs && aCount <= bCount) ? a : b;
}
