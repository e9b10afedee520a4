import { type Codec, type Rational, type Rendition, type TextCue } from '@humancast/protocol';
import {
  CLOCK_PER_PCM,
  CLOCK_RATE,
  gopCount,
  PCM_CHUNK_SAMPLES,
  pcmChunkCount,
  pendingRenditions,
  type SegmentManifest,
} from '@humancast/shared';
import { type Availability, type Clip, rungAt } from '../playout/clip.js';
import type { RenditionDemand } from '../playout/rendition-demand.js';
import { frameAtOrAfter } from '../playout/timeline.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import type { LadderWatch } from './ladder-watch.js';
import type { MediaCache, PacketizedGop } from './media-cache.js';

const CHUNK_SAMPLES = PCM_CHUNK_SAMPLES * CLOCK_PER_PCM;
/** Delay before an unreadable store is read again, and the number of attempts. */
const RETRY_MS = 250;
const TRIES = 40;
/** Missing parts may still come: an emptied media store is refilled from the watched folder. */
const MISSING_TRIES = 12;

/** A part of the window: in memory, being read, or gone. */
type Slot<T> = T | 'loading' | 'lost' | undefined;

export interface SegmentClipOptions {
  cache: MediaCache;
  /** Prefetch length, media-clock samples. */
  prefetchSamples: number;
  /** Codecs that have viewers; owned by the session, which updates the set as viewers come and go. */
  codecs: ReadonlySet<Codec>;
  /** Decides which renditions of a codec are read. Default: the largest. */
  demand?: RenditionDemand | undefined;
  /** Tells of renditions that are stored while the clip is in use. Default: those of the manifest stay the only ones. */
  ladders?: Pick<LadderWatch, 'watch'> | undefined;
  /** Called when a part is gone for good. */
  onLost?: (what: string, error?: unknown) => void;
  /** Called when a part has been read. */
  onLoaded?: (() => void) | undefined;
}

/** A stored segment as a clip, with a window of it in memory that moves with playback. */
export class SegmentClip implements Clip {
  #manifest: SegmentManifest;
  readonly #options: SegmentClipOptions;
  readonly #gops: Map<string, Slot<PacketizedGop>[]>;
  readonly #rungs = new Map<Codec, readonly Rendition[]>();
  readonly #pcm: Slot<Int16Array>[];
  #firstGop = 0;
  #firstChunk = 0;
  /** Whether a part of a rendition is lost, so that the smallest of each codec is read, too. */
  #hasHoles = false;
  #released = false;
  readonly #unwatch: (() => void) | undefined;

  constructor(manifest: SegmentManifest, options: SegmentClipOptions) {
    this.#manifest = manifest;
    this.#options = options;
    this.#gops = new Map(manifest.renditions.map((rendition) => [rendition.id, []]));
    this.#pcm = [];
    if (pendingRenditions(manifest).length > 0) {
      this.#unwatch = options.ladders?.watch(manifest.id, (later) => this.#extend(later));
    }
  }

  get segment(): string {
    return this.#manifest.id;
  }
  get role(): 'idle' | 'speech' {
    return this.#manifest.role;
  }
  get fps(): Rational {
    return this.#manifest.fps;
  }
  get frames(): number {
    return this.#manifest.frames;
  }
  get durationSamples(): number {
    return this.#manifest.durationSamples;
  }
  get gopFrames(): number {
    return this.#manifest.gopFrames;
  }
  get markFrames(): readonly number[] {
    return this.#manifest.markFrames;
  }
  get text(): readonly TextCue[] | undefined {
    return this.#manifest.text;
  }

  availability(fromSamples: number, toSamples: number): Availability {
    let answer: Availability = 'ready';
    const [firstChunk, endChunk] = this.#chunks(fromSamples, toSamples);
    for (let i = firstChunk; i < endChunk; i++) answer = worse(answer, this.#pcm[i]);
    return worseOf(answer, this.#videoAvailability(fromSamples, toSamples));
  }

  /**
   * One rendition in memory is enough: a viewer of another waits for its next GOP. A viewer with a codec that no other uses
   * must not stall the others, and neither must a lost rendition.
   */
  #videoAvailability(fromSamples: number, toSamples: number): Availability {
    const [firstGop, endGop] = this.#gopRange(fromSamples, toSamples);
    let best: Availability | undefined;
    for (const codec of this.#options.codecs) {
      const rungs = this.rungs(codec);
      for (let rung = 0; rung < rungs.length; rung++) {
        if (!this.#isWatched(codec, rung)) continue;
        const answer = this.#gopsAvailable((rungs[rung] as Rendition).id, firstGop, endGop);
        if (answer === 'ready') return answer;
        best = best === 'late' ? best : answer;
      }
    }
    return best ?? 'ready';
  }

  #gopsAvailable(rendition: string, firstGop: number, endGop: number): Availability {
    const slots = this.#gops.get(rendition);
    let answer: Availability = 'ready';
    for (let i = firstGop; i < endGop; i++) answer = worse(answer, slots?.[i]);
    return answer;
  }

  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void {
    let sample = fromSamples / CLOCK_PER_PCM;
    const end = sample + count;
    let to = at;
    while (sample < end) {
      const index = Math.floor(sample / PCM_CHUNK_SAMPLES);
      const offset = sample - index * PCM_CHUNK_SAMPLES;
      const run = Math.min(PCM_CHUNK_SAMPLES - offset, end - sample);
      const chunk = this.#pcm[index];
      const part = chunk instanceof Int16Array ? chunk.subarray(offset, offset + run) : undefined;
      out.fill(0, to, to + run);
      if (part) out.set(part, to);
      sample += run;
      to += run;
    }
  }

  rungs(codec: Codec): readonly Rendition[] {
    let rungs = this.#rungs.get(codec);
    if (!rungs) {
      rungs = rungsOf(this.#manifest.renditions, codec);
      this.#rungs.set(codec, rungs);
    }
    return rungs;
  }

  frame(codec: Codec, frame: number, rung = 0): PacketizedFrame | undefined {
    const rendition = rungAt(this.rungs(codec), rung);
    const index = Math.floor(frame / this.#manifest.gopFrames);
    const gop = rendition && this.#gops.get(rendition.id)?.[index];
    return Array.isArray(gop) ? gop[frame - index * this.#manifest.gopFrames] : undefined;
  }

  readySamples(fromSamples: number): number {
    let to = fromSamples;
    while (
      to < this.durationSamples &&
      this.availability(to, Math.min(to + CLOCK_RATE / 10, this.durationSamples)) === 'ready'
    ) {
      to += CLOCK_RATE / 10;
      if (to - fromSamples > this.#options.prefetchSamples) break;
    }
    return Math.min(to, this.durationSamples) - fromSamples;
  }

  follow(positionSamples: number): void {
    if (this.#released) return;
    const ahead = Math.min(positionSamples + this.#options.prefetchSamples, this.durationSamples);
    // The GOP before is kept, because keyframe requests are answered from its keyframe.
    const [firstGop, endGop] = this.#gopRange(positionSamples, ahead);
    const [firstChunk, endChunk] = this.#chunks(positionSamples, ahead);
    for (const codec of this.#options.codecs) {
      this.rungs(codec).forEach((rendition, rung) => {
        if (this.#isWatched(codec, rung)) this.#fetchGops(rendition, Math.max(firstGop - 1, 0), endGop);
      });
    }
    for (let i = firstChunk; i < endChunk; i++) {
      if (this.#pcm[i] === undefined)
        this.#fetch(this.#pcm, i, `pcm/${i}`, () => this.#options.cache.pcm(this.segment, i));
    }
    this.#letGo(firstGop - 1, firstChunk - 1);
  }

  /** Updates the manifest when more whole GOPs and chunks are stored; what was there is unchanged. */
  grow(manifest: SegmentManifest): void {
    this.#manifest = manifest;
  }

  release(): void {
    this.#released = true;
    this.#unwatch?.();
    for (const slots of this.#gops.values()) slots.length = 0;
    this.#pcm.length = 0;
  }

  /** Takes over renditions that are stored by now, unless rungs that viewers may be sent would change their places. */
  #extend({ renditions, missingRenditions }: SegmentManifest): void {
    const codecs = new Set(this.#manifest.renditions.map(({ codec }) => codec));
    for (const codec of codecs) {
      const later = rungsOf(renditions, codec);
      if (this.rungs(codec).some(({ id }, rung) => later[rung]?.id !== id)) return;
    }
    this.#manifest = { ...this.#manifest, renditions, missingRenditions };
    this.#rungs.clear();
    for (const { id } of renditions) if (!this.#gops.has(id)) this.#gops.set(id, []);
  }

  #letGo(beforeGop: number, beforeChunk: number): void {
    for (; this.#firstGop < beforeGop; this.#firstGop++) {
      for (const slots of this.#gops.values()) delete slots[this.#firstGop];
    }
    for (; this.#firstChunk < beforeChunk; this.#firstChunk++) delete this.#pcm[this.#firstChunk];
  }

  #fetch<T>(slots: Slot<T>[], index: number, what: string, load: () => Promise<T | undefined>): void {
    slots[index] = 'loading';
    void this.#load(load).then(
      (value) => this.#settle(slots, index, what, value),
      (error: unknown) => this.#settle(slots, index, what, undefined, error),
    );
  }

  #settle<T>(slots: Slot<T>[], index: number, what: string, value: T | undefined, error?: unknown): void {
    if (this.#released) return;
    slots[index] = value ?? 'lost';
    if (value === undefined) {
      this.#hasHoles = true;
      this.#options.onLost?.(what, error);
    } else this.#options.onLoaded?.();
  }

  async #load<T>(load: () => Promise<T | undefined>): Promise<T | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        const value = await load();
        if (value !== undefined || attempt >= MISSING_TRIES || this.#released) return value;
      } catch (error) {
        // A RangeError means a damaged part; reading it again does not help.
        if (attempt >= TRIES || this.#released || error instanceof RangeError) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** @returns Whether a rendition is to be read: one that is sent or about to be, of a codec with viewers. */
  #isWatched(codec: Codec, rung: number): boolean {
    const { demand } = this.#options;
    const { length } = this.rungs(codec);
    if (this.#hasHoles && rung === length - 1) return true;
    return demand ? demand.has(codec, rung, length) : rung === 0;
  }

  #fetchGops(rendition: Rendition, from: number, to: number): void {
    const slots = this.#gops.get(rendition.id) ?? [];
    for (let i = from; i < to; i++) {
      if (slots[i] === undefined)
        this.#fetch(slots, i, `${rendition.id}/${i}`, () => this.#options.cache.gop(this.segment, rendition, i));
    }
  }

  /** @returns The stored PCM chunks of a stretch; audio may end before video. */
  #chunks(fromSamples: number, toSamples: number): readonly [number, number] {
    const end = Math.min(Math.ceil(toSamples / CHUNK_SAMPLES), pcmChunkCount(this.#manifest));
    return [Math.floor(fromSamples / CHUNK_SAMPLES), end];
  }

  /** @returns The GOPs that have a frame due in a stretch. */
  #gopRange(fromSamples: number, toSamples: number): readonly [number, number] {
    const { fps, frames, gopFrames } = this.#manifest;
    const first = Math.max(frameAtOrAfter(fromSamples, fps) - 1, 0); // the frame that is shown
    const end = Math.min(frameAtOrAfter(toSamples, fps), frames);
    return [
      Math.floor(Math.min(first, frames) / gopFrames),
      Math.min(Math.ceil(end / gopFrames), gopCount(this.#manifest)),
    ];
  }
}

function worse(answer: Availability, slot: Slot<unknown>): Availability {
  if (slot === 'lost') return 'gone';
  return worseOf(answer, slot === undefined || slot === 'loading' ? 'late' : 'ready');
}

function worseOf(one: Availability, other: Availability): Availability {
  if (one === 'gone' || other === 'gone') return 'gone';
  return one === 'late' || other === 'late' ? 'late' : 'ready';
}

/** @returns The renditions of a codec, the largest bitrate first. */
function rungsOf(renditions: readonly Rendition[], codec: Codec): readonly Rendition[] {
  return renditions.filter((rendition) => rendition.codec === codec).sort((a, b) => b.bitrateBps - a.bitrateBps);
}
