import { mkdtempSync, openAsBlob, rmSync } from 'node:fs';
import { cp, mkdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Problem } from '@humancast/protocol';
import { createLogger, type Logger, loadConfig, loaderSettings, RedisMediaStore } from '@humancast/shared';
import { startRedis, type TestRedis, waitFor } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { type SegmentLoaderOptions, startSegmentLoader } from '../src/segment-loader.module.js';
import { ENCODER_SOURCES } from './encoder-sources.js';

type Running = Awaited<ReturnType<typeof startSegmentLoader>>;

export const API_KEY = 'test-key-0123456789';

/** An avatar as the API describes it. */
export interface AvatarView {
  id: string;
  idle: number;
  segments: number;
  idlePlaylist: string[];
  name: string;
  problemCount: number;
  loading: { id: string; name: string }[];
  problems: { file: string; code: string; message: string }[];
}

export interface SegmentView {
  id: string;
  name: string;
  state: string;
  progress: number;
  frames: number;
  durationMs: number;
  failure?: { code: string };
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T & Partial<Problem>;
}

/** The whole service on free ports, with a Redis and a media folder of its own. */
export class TestLoader {
  readonly mediaDir: string;
  readonly archiveDir: string;
  readonly store: RedisMediaStore;
  readonly redis: Redis;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly server: TestRedis;
  #service: Running | undefined;

  private constructor(server: TestRedis, env: Readonly<Record<string, string>>) {
    this.server = server;
    this.redis = new Redis(server.url);
    this.redis.on('error', () => {});
    this.store = new RedisMediaStore(this.redis);
    this.#folder = mkdtempSync(join(tmpdir(), 'humancast-loader-'));
    this.mediaDir = join(this.#folder, 'media');
    this.archiveDir = join(this.#folder, 'archive');
    this.#env = env;
  }

  static async start(
    env: Record<string, string> = {},
    redis: Parameters<typeof startRedis>[0] = {},
  ): Promise<TestLoader> {
    const loader = new TestLoader(await startRedis(redis), env);
    await loader.startService();
    return loader;
  }

  /** Logger of services started from now on. */
  logger: Logger = createLogger('test', 'silent');

  /** @param options Replace those of a test. */
  async startService(options: SegmentLoaderOptions = {}): Promise<void> {
    const config = loadConfig(loaderSettings, {
      REDIS_QUEUE_URL: this.server.url,
      REDIS_MEDIA_URL: this.server.url,
      HUMANCAST_API_KEY: API_KEY,
      LOADER_PORT: '0',
      LOADER_METRICS_PORT: '0',
      BIND_ADDRESS: '127.0.0.1',
      MEDIA_DIR: this.mediaDir,
      ARCHIVE_DIR: this.archiveDir,
      SCRATCH_DIR: this.#folder,
      WATCH_SETTLE_MS: '100',
      WATCH_RESCAN_MS: '500',
      RENDITIONS: 'vp8:vp8:640x640:300k',
      ...this.#env,
    });
    this.#service = await startSegmentLoader(config, this.logger, {
      encoderCommand: ENCODER_SOURCES,
      ...options,
    });
  }

  async stopService(): Promise<void> {
    await this.#service?.close();
  }

  async stop(): Promise<void> {
    await this.stopService();
    this.redis.disconnect();
    await this.server.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#service?.port}`;
  }

  get scratchDir(): string {
    return this.#folder;
  }

  async metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#service?.metricsPort}/metrics`)).text();
  }

  /** Sends a request with the API key, unless `headers` replace it. */
  async request<T = Record<string, unknown>>(method: string, path: string, init: RequestInit = {}): Promise<Answer<T>> {
    const headers = { authorization: `Bearer ${API_KEY}`, ...(init.headers as Record<string, string> | undefined) };
    const response = await fetch(this.url + path, { ...init, method, headers });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
  }

  /** Uploads a file as a segment. @param query Further query parameters, each with its `&`. */
  async upload<T = SegmentView>(avatar: string, path: string, query = '', key = API_KEY): Promise<Answer<T>> {
    const body = new FormData();
    body.set('file', await openAsBlob(path), 'clip.mp4');
    const headers = { authorization: `Bearer ${key}` };
    return this.request('POST', `/v1/segments?avatar=${avatar}${query}`, { body, headers });
  }

  async defineAvatar(id: string, definition: unknown = {}): Promise<Answer<AvatarView>> {
    const headers = { 'content-type': 'application/json' };
    return this.request('PUT', `/v1/avatars/${id}`, { headers, body: JSON.stringify(definition) });
  }

  async avatar(id: string): Promise<AvatarView> {
    return (await this.request<AvatarView>('GET', `/v1/avatars/${id}`)).body;
  }

  /** Waits until an avatar matches the predicate. @param what Names the awaited state in the timeout's message. */
  async avatarBecomes(id: string, what: string, isSo: (avatar: AvatarView) => boolean): Promise<AvatarView> {
    return waitFor(what, async () => {
      const avatar = await this.avatar(id);
      return avatar.idlePlaylist !== undefined && isSo(avatar) && avatar;
    });
  }

  /** Moves a complete copy of a file into the media folder atomically. */
  async drop(source: string, path: string): Promise<void> {
    const target = join(this.mediaDir, path);
    await mkdir(dirname(target), { recursive: true });
    await cp(source, `${this.mediaDir}.incoming`);
    await rename(`${this.mediaDir}.incoming`, target);
  }
}
