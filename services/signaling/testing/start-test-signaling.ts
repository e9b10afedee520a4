import {
  AvatarStore,
  createLogger,
  type Logger,
  loadConfig,
  RedisMediaStore,
  type SegmentManifest,
  type SignalingConfig,
  signalingSettings,
} from '@humancast/shared';
import { makeManifest, startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { startSignaling, TIMINGS, type Timings } from '../src/index.js';

type Running = Awaited<ReturnType<typeof startSignaling>>;

export const API_KEY = 'key-of-the-tests';

/** Two Redis servers as in production, with a usable avatar, and any number of signaling processes. */
export class TestStack {
  readonly queue: Redis;
  readonly media: Redis;
  readonly store: RedisMediaStore;
  readonly avatars: AvatarStore;
  readonly #servers: readonly [TestRedis, TestRedis];
  readonly #running = new Set<Running>();

  private constructor(servers: readonly [TestRedis, TestRedis]) {
    this.#servers = servers;
    this.queue = new Redis(servers[0].url);
    this.media = new Redis(servers[1].url);
    for (const redis of [this.queue, this.media]) redis.on('error', () => {});
    this.store = new RedisMediaStore(this.media);
    this.avatars = new AvatarStore(this.queue);
  }

  static async start(): Promise<TestStack> {
    const stack = new TestStack(await Promise.all([startRedis({ appendOnly: true }), startRedis()]));
    await stack.addAvatar('demo');
    return stack;
  }

  get queueUrl(): string {
    return this.#servers[0].url;
  }

  /** Starts a process on a free port, with production timings unless overridden. */
  async signaling(
    overrides: Partial<SignalingConfig> = {},
    timings: Partial<Timings> = {},
    logger: Logger = createLogger('signaling', 'silent'),
  ): Promise<TestSignaling> {
    const config = {
      ...loadConfig(signalingSettings, {
        REDIS_QUEUE_URL: this.#servers[0].url,
        REDIS_MEDIA_URL: this.#servers[1].url,
        TOKEN_SECRET: 'secret-of-the-tests',
        HUMANCAST_API_KEY: API_KEY,
        BIND_ADDRESS: '127.0.0.1',
        SIGNALING_PORT: '0',
        SIGNALING_METRICS_PORT: '0',
      }),
      ...overrides,
    };
    const running = await startSignaling(config, logger, { ...TIMINGS, ...timings });
    this.#running.add(running);
    return new TestSignaling(running);
  }

  /** Kills a Redis server, as in a crash. */
  kill(which: 'queue' | 'media'): Promise<void> {
    return this.#servers[which === 'queue' ? 0 : 1].kill();
  }

  /** Restarts redis-queue, which keeps its data. */
  restartQueue(): Promise<void> {
    return this.#servers[0].restart();
  }

  async addAvatar(id: string): Promise<void> {
    await this.avatars.ensure(id);
    await this.store.setIdlePlaylist(id, [await this.addSegment({ avatar: id, role: 'idle' })]);
  }

  async addSegment(overrides: Partial<SegmentManifest> = {}): Promise<string> {
    const manifest = makeManifest({ avatar: 'demo', createdAtMs: Date.now(), ...overrides });
    await this.store.putManifest(manifest, { pinned: false, ttlSeconds: 600 });
    return manifest.id;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running].map((running) => running.close()));
    this.queue.disconnect();
    this.media.disconnect();
    await Promise.all(this.#servers.map((server) => server.stop()));
  }
}

export interface Reply {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests read arbitrary members
  body: any;
  text: string;
}

export class TestSignaling {
  readonly port: number;
  readonly metricsPort: number;
  readonly #running: Running;

  constructor(running: Running) {
    this.#running = running;
    this.port = running.port;
    this.metricsPort = running.metricsPort;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get signalUrl(): string {
    return `ws://127.0.0.1:${this.port}/v1/signal`;
  }

  /** Sends a request with the API key, unless `auth` replaces it (`''`: none). A body that is not text is sent as JSON. */
  async request(
    method: string,
    path: string,
    options: { auth?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Reply> {
    const { auth = API_KEY, body, headers = {} } = options;
    const json = body !== undefined && typeof body !== 'string';
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        ...(auth !== '' && { authorization: `Bearer ${auth}` }),
        ...(json && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: json ? JSON.stringify(body) : (body as string) }),
    });
    const text = await response.text();
    const parses = response.headers.get('content-type')?.includes('json');
    return { status: response.status, headers: response.headers, body: parses ? JSON.parse(text) : undefined, text };
  }

  async makeSession(avatar = 'demo'): Promise<{ id: string; token: string }> {
    const { status, body, text } = await this.request('POST', '/v1/sessions', { body: { avatar } });
    if (status !== 201) throw new Error(`no session: ${text}`);
    return body;
  }

  metrics(): Promise<string> {
    return fetch(`http://127.0.0.1:${this.metricsPort}/metrics`).then((response) => response.text());
  }

  close(): Promise<void> {
    return this.#running.close();
  }
}
