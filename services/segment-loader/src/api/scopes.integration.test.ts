import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId, type SegmentManifest, SessionRegistry } from '@humancast/shared';
import { LivePusher, type LoggedLine, makeManifest, recordingLogger } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Clips } from '../../testing/clips.js';
import { API_KEY, type SegmentView, TestLoader } from '../../testing/start-test-loader.js';

const KEY = {
  backend: 'key-of-the-backend',
  uploader: 'key-of-the-uploader',
  tts: 'key-of-the-tts',
  operator: 'key-of-the-operator',
  ann: 'key-for-ann-only',
} as const;
type KeyName = keyof typeof KEY;
const KEYS = `
backend:${KEY.backend} sessions,media
uploader:${KEY.uploader} media
tts:${KEY.tts} speak
operator:${KEY.operator} operate
ann-only:${KEY.ann} sessions,media,speak,operate ann
`;

describe('API keys at segment-loader', () => {
  const clips = new Clips();
  let loader: TestLoader;
  let clip: string;
  let registry: SessionRegistry;
  beforeAll(async () => {
    clip = await clips.test('clip.mp4', { seconds: 1, size: '64x64' });
    const file = join(clip, '../api-keys');
    await writeFile(file, KEYS);
    loader = await TestLoader.start({ HUMANCAST_API_KEY_FILE: file, LIVE_PUSHES: '10' });
    registry = new SessionRegistry(loader.redis);
    for (const avatar of ['ann', 'ben']) await loader.defineAvatar(avatar);
  });
  afterAll(async () => {
    await loader?.stop();
    clips.remove();
  });

  const request = <T = Record<string, unknown>>(key: KeyName, method: string, path: string, init: RequestInit = {}) =>
    loader.request<T>(method, path, { ...init, headers: { ...init.headers, authorization: `Bearer ${KEY[key]}` } });
  const json = (body: unknown) => ({ headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

  const upload = (key: KeyName, avatar: string) =>
    loader.upload<SegmentView & { code?: string }>(avatar, clip, '', KEY[key]);

  /** Stores a segment as an upload or a live push does. */
  async function segment(overrides: Partial<SegmentManifest> = {}): Promise<string> {
    const manifest = makeManifest({ source: 'live', ...overrides });
    await loader.store.putManifest(manifest, { pinned: false, ttlSeconds: 600 });
    return manifest.id;
  }

  it.each<[KeyName, number]>([
    ['backend', 200],
    ['uploader', 200],
    ['tts', 403],
    ['operator', 403],
    ['ann', 200],
  ])('change media only with the scope media: %s', async (key, ok) => {
    const rejection = ok === 403 ? { code: 'forbidden', scope: 'media' } : {};
    const id = await segment({ owner: 'somebody' });
    expect(await request(key, 'PUT', '/v1/avatars/ann', json({}))).toMatchObject({ status: ok, body: rejection });
    expect(await request(key, 'PATCH', `/v1/segments/${id}`, json({ pinned: true }))).toMatchObject({
      body: rejection,
    });
    expect((await request(key, 'DELETE', `/v1/segments/${id}`)).status).toBe(ok === 403 ? 403 : 204);
    expect((await loader.store.getManifest(id)) === undefined).toBe(ok !== 403);
    if (ok === 403) {
      expect(await upload(key, 'ann')).toMatchObject({ status: 403, body: rejection });
      expect(await request(key, 'DELETE', '/v1/avatars/ann')).toMatchObject({ status: 403, body: rejection });
    }
  });

  it('are recorded as owners of their uploads', async () => {
    const { status, body } = await upload('uploader', 'ann');
    expect(status).toBe(201);
    expect((await loader.store.getManifest(body.id))?.owner).toBe('uploader');
  });

  it('can use the avatars they allow, and see no others', async () => {
    const [own, foreign] = [await segment(), await segment({ avatar: 'ben' })];
    const wrong = { status: 403, body: { code: 'forbidden', avatar: 'ben' } };
    expect(await request('ann', 'GET', '/v1/avatars/ben')).toMatchObject(wrong);
    expect(await request('ann', 'PUT', '/v1/avatars/ben', json({}))).toMatchObject(wrong);
    expect(await request('ann', 'DELETE', '/v1/avatars/ben')).toMatchObject(wrong);
    expect(await request('ann', 'GET', '/v1/segments?avatar=ben')).toMatchObject(wrong);
    expect(await upload('ann', 'ben')).toMatchObject(wrong);
    const gone = { status: 404, body: { code: 'segment_not_found' } };
    expect(await request('ann', 'GET', `/v1/segments/${foreign}`)).toMatchObject(gone);
    expect(await request('ann', 'DELETE', `/v1/segments/${foreign}`)).toMatchObject(gone);
    expect(await request('ann', 'PATCH', `/v1/segments/${foreign}`, json({ pinned: true }))).toMatchObject(gone);
    expect((await request('ann', 'GET', `/v1/segments/${own}`)).status).toBe(200);
    const avatars = (await request<{ avatars: { id: string }[] }>('ann', 'GET', '/v1/avatars')).body.avatars;
    expect(avatars.map(({ id }) => id)).toEqual(['ann']);
    const { segments } = (await request<{ segments: { avatar: string }[] }>('ann', 'GET', '/v1/segments')).body;
    expect(segments.length).toBeGreaterThan(0);
    expect(segments.every(({ avatar }) => avatar === 'ann')).toBe(true);
    expect(await loader.store.getManifest(foreign)).toBeDefined();
  });

  it('with the scope speak can delete their own pushes and nothing else', async () => {
    const [own, other] = [await segment({ owner: 'tts' }), await segment({ owner: 'backend' })];
    expect((await request('tts', 'DELETE', `/v1/segments/${own}`)).status).toBe(204);
    const rejected = { status: 403, body: { code: 'forbidden', scope: 'media' } };
    expect(await request('tts', 'DELETE', `/v1/segments/${other}`)).toMatchObject(rejected);
    expect(await loader.store.getManifest(other)).toBeDefined();
  });

  it('are named in the log with every change', async () => {
    const lines: LoggedLine[] = [];
    await loader.stopService();
    loader.logger = recordingLogger(lines);
    await loader.startService();
    await request('uploader', 'PUT', '/v1/avatars/cleo', json({}));
    const { body } = await upload('backend', 'cleo');
    await request('uploader', 'PATCH', `/v1/segments/${body.id}`, json({ pinned: true }));
    await request('backend', 'DELETE', `/v1/segments/${body.id}`);
    await request('uploader', 'DELETE', '/v1/avatars/cleo');
    expect(lines.filter((line) => 'key' in line).map(({ msg, ...fields }) => [msg, fields['key']])).toEqual([
      ['avatar defined', 'uploader'],
      ['upload received', 'backend'],
      ['segment changed', 'uploader'],
      ['deleting segment', 'backend'],
      ['deleting avatar', 'uploader'],
    ]);
    expect(JSON.stringify(lines)).not.toContain('key-of');
  });

  describe('a live push', () => {
    async function session(options: { owner?: string; demo?: boolean } = {}, avatar = 'ann'): Promise<string> {
      const id = newId('ses');
      await registry.create(id, avatar, options);
      return id;
    }

    /** @returns The HTTP status of the rejection, or 101. */
    function push(key: string, query: string): Promise<number> {
      const headers = { authorization: `Bearer ${key}` };
      const socket = new WebSocket(`${loader.url.replace(/^http/, 'ws')}/v1/live?${query}`, { headers });
      return new Promise((resolve, reject) => {
        socket.on('unexpected-response', (_, response) => {
          resolve(response.statusCode ?? 0);
          socket.terminate();
        });
        socket.on('open', () => {
          resolve(101);
          socket.terminate();
        });
        socket.on('error', reject);
      });
    }

    it('needs the scope media, or speak in a session', async () => {
      const visitors = await session({ demo: true });
      const tried = async (query: string) =>
        Object.fromEntries(
          await Promise.all(Object.entries(KEY).map(async ([name, key]) => [name, await push(key, query)] as const)),
        );
      expect(await tried('avatar=ann')).toEqual({ backend: 101, uploader: 101, tts: 403, operator: 403, ann: 101 });
      const inVisitors = { backend: 404, uploader: 404, tts: 101, operator: 403, ann: 101 };
      expect(await tried(`avatar=ann&session=${visitors}`)).toEqual(inVisitors);
      expect((await tried('avatar=ben'))['ann']).toBe(403);
    });

    it('into a session is allowed for the key that created it, and for keys with speak or all scopes', async () => {
      const [backends, others] = [await session({ owner: 'backend' }), await session({ owner: 'other' })];
      const tried = (key: string) => Promise.all([backends, others].map((id) => push(key, `avatar=ann&session=${id}`)));
      expect(await tried(KEY.backend)).toEqual([101, 404]);
      expect(await tried(KEY.uploader)).toEqual([404, 404]);
      expect(await tried(KEY.tts)).toEqual([101, 101]);
      expect(await tried(API_KEY)).toEqual([101, 101]);
    });

    it('belongs to its session and to the key that pushed it', async () => {
      const id = await session({ owner: 'backend' });
      const of = { loaderUrl: loader.url, apiKey: KEY.tts };
      const pusher = await LivePusher.connect(of, { avatar: 'ann', session: id });
      const video = { fps: 25, width: 96, height: 64, pixelFormat: 'bgr24' } as const;
      const audio = { sampleRate: 24_000, sampleFormat: 'f32' } as const;
      const { segment: pushed } = await pusher.start({ type: 'start', ...video, ...audio });
      expect(await loader.store.getManifest(pushed)).toMatchObject({ session: id, owner: 'tts' });
      const [summary] = (await loader.store.list('ann')).filter((one) => one.id === pushed);
      expect(summary).toMatchObject({ session: id, owner: 'tts' });
      pusher.socket.terminate();
    });
  });
});
