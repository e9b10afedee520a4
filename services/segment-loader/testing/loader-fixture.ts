import { open } from 'node:fs/promises';
import type { Alpha, RenditionConfig } from '@humancast/protocol';
import { createLogger, createRegistry, newId, RedisMediaStore, type SegmentManifest } from '@humancast/shared';
import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll } from 'vitest';
import { encodeLadder, ladderRuns } from '../src/ladder/encode-ladder.js';
import type { LoadMedia } from '../src/loading/load-plan.js';
import { SegmentLoader } from '../src/loading/segment-loader.js';
import { LoaderMetrics } from '../src/metrics.js';
import { Clips } from './clips.js';
import { type DecodedSegment, decodeFrames, decodeSegment } from './decoded-segment.js';

export interface LoadOptions {
  readonly renditions: readonly RenditionConfig[];
  readonly gopMs?: number;
  readonly maxDurationSeconds?: number;
  readonly loudness?: number | undefined;
  readonly alpha?: Alpha;
  readonly role?: SegmentManifest['role'];
  readonly signal?: AbortSignal;
  /** Whether further renditions are encoded, too. Default: true. */
  readonly whole?: boolean;
}

/** A SegmentLoader without its service, a Redis of its own that it loads into, and clips to load. */
export class LoaderFixture {
  readonly clips = new Clips();
  /** One for all loads, because a registry observes its process as long as that lives. */
  readonly #metrics = new LoaderMetrics(createRegistry('test'));
  /** Frames by rendition, because a test looks at several places of them. */
  readonly #decoded = new WeakMap<SegmentManifest, Map<number, Promise<Buffer[]>>>();
  #server: TestRedis | undefined;
  #redis: Redis | undefined;

  async start(): Promise<void> {
    this.#server = await startRedis();
    this.#redis = new Redis(this.#server.url);
  }

  get redis(): Redis {
    if (!this.#redis) throw new Error('the fixture has not been started');
    return this.#redis;
  }

  get store(): RedisMediaStore {
    return new RedisMediaStore(this.redis);
  }

  /**
   * Loads files into a new segment.
   * @param paths Files, opened for the load only.
   * @param mediaOf Maps their descriptors, in the same order, to the media to load.
   */
  async load(
    paths: readonly string[],
    mediaOf: (descriptors: readonly number[]) => LoadMedia,
    options: LoadOptions,
  ): Promise<SegmentManifest> {
    const { renditions, gopMs = 1000, maxDurationSeconds = 3600, signal = new AbortController().signal } = options;
    const { role = 'speech', loudness, alpha, whole = true } = options;
    const limits = { maxSourcePixels: 33_177_600, maxDurationSeconds, ffmpegThreads: 1, scratchDir: '' };
    const quota = { makeRoom: () => Promise.resolve(true) };
    const loader = new SegmentLoader(this.store, quota, limits, this.#metrics, createLogger('test', 'silent'));
    const files = await Promise.all(paths.map((path) => open(path)));
    try {
      const manifest = await loader.load(
        {
          id: newId('seg'),
          avatar: 'demo',
          name: 'clip',
          role,
          source: 'upload',
          retention: { pinned: true },
          settings: { renditions, gopMs, fps: undefined, loudness, alpha },
          media: mediaOf(files.map(({ fd }) => fd)),
        },
        signal,
        () => {},
      );
      return whole ? await this.complete(manifest, signal) : manifest;
    } finally {
      await Promise.all(files.map((file) => file.close()));
    }
  }

  /** Encodes the further renditions of a segment. */
  async complete(manifest: SegmentManifest, signal = new AbortController().signal): Promise<SegmentManifest> {
    let whole: SegmentManifest | undefined = manifest;
    for (const run of ladderRuns(manifest)) {
      if (whole) whole = await encodeLadder(this.store, whole, run, { ffmpegThreads: 1, scratchDir: '' }, signal);
    }
    if (!whole) throw new Error('the segment is gone');
    return whole;
  }

  /** Decodes a loaded segment; see {@link decodeSegment}. */
  decode(manifest: SegmentManifest, rendition = 0, place?: { x: number; y: number }): Promise<DecodedSegment> {
    return decodeSegment(this.store, manifest, rendition, place, this.frames(manifest, rendition));
  }

  /** @returns Every frame of a loaded segment, I420. */
  frames(manifest: SegmentManifest, rendition: number): Promise<Buffer[]> {
    const ofSegment = this.#decoded.get(manifest) ?? new Map<number, Promise<Buffer[]>>();
    this.#decoded.set(manifest, ofSegment);
    const frames = ofSegment.get(rendition) ?? decodeFrames(this.store, manifest, rendition);
    ofSegment.set(rendition, frames);
    return frames;
  }

  /** @returns The number of keys in Redis. */
  async keyCount(): Promise<number> {
    return (await this.redis.keys('*')).length;
  }

  async stop(): Promise<void> {
    this.#redis?.disconnect();
    await this.#server?.stop();
    this.clips.remove();
  }
}

/** @returns A fixture that is started before the tests of the current suite, and stopped after them. */
export function useLoaderFixture(): LoaderFixture {
  const fixture = new LoaderFixture();
  beforeAll(() => fixture.start());
  afterAll(() => fixture.stop());
  return fixture;
}
