import { open } from 'node:fs/promises';
import { type RenditionConfig } from '@humancast/protocol';
import { createLogger, createRegistry, newId, RedisMediaStore, type SegmentManifest } from '@humancast/shared';
import { startRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import type { LoadMedia } from '../src/loading/load-plan.js';
import { SegmentLoader } from '../src/loading/segment-loader.js';
import { LoaderMetrics } from '../src/metrics.js';

export interface LoadOptions {
  readonly renditions: readonly RenditionConfig[];
  readonly gopMs?: number;
  readonly maxDurationSeconds?: number;
  readonly loudness?: number | undefined;
  readonly role?: SegmentManifest['role'];
  readonly signal?: AbortSignal;
}

/** A SegmentLoader without its service, and a Redis of its own that it loads into. */
export class LoaderFixture {
  readonly redis: Redis;
  readonly store: RedisMediaStore;
  /** One for all loads, because a registry observes its process as long as that lives. */
  readonly #metrics = new LoaderMetrics(createRegistry('test'));
  readonly #stopRedis: () => Promise<void>;

  private constructor(redis: Redis, stopRedis: () => Promise<void>) {
    this.redis = redis;
    this.store = new RedisMediaStore(redis);
    this.#stopRedis = stopRedis;
  }

  static async start(): Promise<LoaderFixture> {
    const server = await startRedis();
    return new LoaderFixture(new Redis(server.url), () => server.stop());
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
    const { role = 'speech', loudness } = options;
    const limits = { maxSourcePixels: 33_177_600, maxDurationSeconds, ffmpegThreads: 1, scratchDir: '' };
    const quota = { makeRoom: () => Promise.resolve(true) };
    const loader = new SegmentLoader(this.store, quota, limits, this.#metrics, createLogger('test', 'silent'));
    const files = await Promise.all(paths.map((path) => open(path)));
    try {
      return await loader.load(
        {
          id: newId('seg'),
          avatar: 'demo',
          name: 'clip',
          role,
          source: 'upload',
          retention: { pinned: true },
          settings: { renditions, gopMs, fps: undefined, loudness },
          media: mediaOf(files.map(({ fd }) => fd)),
        },
        signal,
        () => {},
      );
    } finally {
      await Promise.all(files.map((file) => file.close()));
    }
  }

  /** @returns The number of keys in Redis. */
  async keyCount(): Promise<number> {
    return (await this.redis.keys('*')).length;
  }

  async stop(): Promise<void> {
    this.redis.disconnect();
    await this.#stopRedis();
  }
}
