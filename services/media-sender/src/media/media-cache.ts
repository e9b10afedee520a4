import { type Codec, type Rendition } from '@humancast/protocol';
import { type MediaStore, unpackGop } from '@humancast/shared';
import type { Packetizer } from '../rtp/packetize.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';

/** The packetized frames of one GOP. */
export type PacketizedGop = readonly PacketizedFrame[];

export interface MediaCacheOptions {
  /** Size beyond which the least recently used parts are evicted. Sessions hold what they are about to play themselves. */
  maxBytes: number;
  packetizerOf: (codec: Codec) => Packetizer;
}

interface Part {
  readonly value: PacketizedGop | Int16Array;
  readonly bytes: number;
}

/**
 * Caches the GOPs and PCM of all sessions of a process, so that each part is read and packetized once. Concurrent requests
 * for a part share one read.
 */
export class MediaCache {
  readonly #store: MediaStore;
  readonly #options: MediaCacheOptions;
  /** Parts in order of last use. */
  readonly #parts = new Map<string, Part>();
  readonly #loading = new Map<string, Promise<Part | undefined>>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(store: MediaStore, options: MediaCacheOptions) {
    this.#store = store;
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Requests for parts that were in memory or being read. */
  get hits(): number {
    return this.#hits;
  }

  /** Parts read from the store. */
  get misses(): number {
    return this.#misses;
  }

  /** Parts evicted. */
  get evictions(): number {
    return this.#evictions;
  }

  /**
   * @returns `undefined` if the store does not have the part.
   * @throws if the store cannot be read or the part is damaged.
   */
  async gop(segment: string, rendition: Rendition, index: number): Promise<PacketizedGop | undefined> {
    const part = await this.#part(`${segment}/${rendition.id}/${index}`, async () => {
      const blob = await this.#store.readGop(segment, rendition.id, index);
      if (!blob) return undefined;
      const packetize = this.#options.packetizerOf(rendition.codec);
      const frames = unpackGop(blob).map(({ data, keyframe }) => packetize(data, keyframe));
      return { value: frames, bytes: blob.length };
    });
    return part?.value as PacketizedGop | undefined;
  }

  async pcm(segment: string, index: number): Promise<Int16Array | undefined> {
    const part = await this.#part(`${segment}/pcm/${index}`, async () => {
      const blob = await this.#store.readPcm(segment, index);
      return blob ? { value: toSamples(blob), bytes: blob.length } : undefined;
    });
    return part?.value as Int16Array | undefined;
  }

  /** Drops all parts of these segments, including those that are being read. */
  forget(segments: readonly string[]): void {
    const forgotten = new Set(segments);
    const isForgotten = (key: string) => forgotten.has(key.slice(0, key.indexOf('/')));
    for (const key of [...this.#parts.keys()].filter(isForgotten)) this.#drop(key);
    for (const key of [...this.#loading.keys()].filter(isForgotten)) this.#loading.delete(key);
  }

  clear(): void {
    for (const key of [...this.#parts.keys()]) this.#drop(key);
    this.#loading.clear();
  }

  async #part(key: string, load: () => Promise<Part | undefined>): Promise<Part | undefined> {
    const known = this.#parts.get(key);
    if (known) {
      this.#hits++;
      this.#parts.delete(key);
      this.#parts.set(key, known);
      return known;
    }
    let loading = this.#loading.get(key);
    let isWanted = false;
    if (loading) this.#hits++;
    else {
      this.#misses++;
      const started = load().finally(() => {
        isWanted = this.#loading.get(key) === started;
        if (isWanted) this.#loading.delete(key);
      });
      loading = started;
      this.#loading.set(key, loading);
    }
    const part = await loading;
    if (part && isWanted && !this.#parts.has(key)) this.#keep(key, part);
    return part;
  }

  #keep(key: string, part: Part): void {
    this.#parts.set(key, part);
    this.#bytes += part.bytes;
    for (const oldest of this.#parts.keys()) {
      if (this.#bytes <= this.#options.maxBytes) break;
      this.#drop(oldest);
      this.#evictions++;
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#parts.get(key)?.bytes ?? 0;
    this.#parts.delete(key);
  }
}

/** Assumes a little-endian machine, as Node.js requires today. The copy aligns the data. */
export function toSamples(blob: Buffer): Int16Array {
  const samples = new Int16Array(blob.length >> 1);
  Buffer.from(samples.buffer).set(blob.subarray(0, samples.length * 2));
  return samples;
}
