import { readdir, rename, truncate, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { bgrFrame, LIVE_HEADER, LivePusher, pushAtPace, waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { API_KEY, type SegmentView, TestLoader } from '../../testing/start-test-loader.js';

const UPLOAD_TTL_SECONDS = 1000;

/** Retention of uploads and live pushes, through the running service. */
describe('segments received over the network', () => {
  const clips = new Clips();
  const loaders: TestLoader[] = [];
  let clip: string;
  beforeAll(async () => {
    clip = await clips.test('clip.mp4', { seconds: 2, size: '64x64' });
  });
  afterEach(async () => {
    for (const loader of loaders.splice(0)) await loader.stop();
  });
  afterAll(() => clips.remove());

  async function start(env: Record<string, string> = {}): Promise<TestLoader> {
    const loader = await TestLoader.start({ UPLOAD_TTL_SECONDS: String(UPLOAD_TTL_SECONDS), ...env });
    loaders.push(loader);
    await loader.defineAvatar('ann');
    return loader;
  }

  const upload = (loader: TestLoader, query = '') =>
    loader.upload<SegmentView & { pinned: boolean }>('ann', clip, query);

  async function pushLive(loader: TestLoader): Promise<string> {
    const pusher = await LivePusher.connect({ loaderUrl: loader.url, apiKey: API_KEY }, { avatar: 'ann' });
    const { segment } = await pusher.start({ ...LIVE_HEADER, width: 96, height: 64 });
    const frame = bgrFrame(96, 64, [255, 255, 255]);
    await pushAtPace(pusher, { frame, hz: 440, fps: 25, seconds: 1.2 }).done;
    await pusher.end();
    return segment;
  }

  /** @returns All values that the media store holds of a segment, by key. */
  async function contents(loader: TestLoader, segment: string): Promise<Map<string, string>> {
    const names = (await loader.redis.keys(`hc:{m:${segment}}:*`)).filter((key) => !key.endsWith(':live')).sort();
    return new Map(
      await Promise.all(
        names.map(async (key) => [key, (await loader.redis.getBuffer(key))?.toString('hex') ?? ''] as const),
      ),
    );
  }

  /** Removes what a restarted redis-media has lost. */
  async function loseEverything(loader: TestLoader): Promise<void> {
    const lost = [...(await loader.redis.keys('hc:{m:*')), ...(await loader.redis.keys('hc:{c:*'))];
    await loader.redis.del(...lost);
  }

  const statusOf = async (loader: TestLoader, id: string) => (await loader.request('GET', `/v1/segments/${id}`)).status;
  const isThere = async (loader: TestLoader, id: string) => (await statusOf(loader, id)) === 200;
  /** Sets the time of last use to so many seconds ago. */
  const idle = (loader: TestLoader, id: string, seconds: number) =>
    loader.redis.expire(`hc:{m:${id}}:manifest`, UPLOAD_TTL_SECONDS - seconds);

  it('are restored bit by bit after the media store has lost them, uploads and live pushes', async () => {
    const loader = await start();
    const ids = [(await upload(loader)).body.id, await pushLive(loader)];
    const before = await Promise.all(ids.map((id) => contents(loader, id)));
    expect(before.every(({ size }) => size >= 3)).toBe(true);
    await loseEverything(loader);
    for (const [i, id] of ids.entries()) {
      await waitFor('the segment to be restored', () => loader.store.hasAllParts(id));
      expect(await contents(loader, id)).toEqual(before[i]);
    }
    const list = (await loader.request<{ segments: SegmentView[] }>('GET', '/v1/segments?avatar=ann')).body.segments;
    expect(list.map(({ id }) => id).sort()).toEqual(ids.toSorted());
  });

  it('are restored when the store has lost some of their parts', async () => {
    const loader = await start({ WATCH_RESCAN_MS: '600000' });
    const { id } = (await upload(loader)).body;
    await loader.redis.del(`hc:{m:${id}}:v:vp8:1`);
    await loader.stopService();
    await loader.startService();
    await waitFor('the segment to be complete', () => loader.store.hasAllParts(id));
  });

  it('are not restored when they were deleted or have expired', async () => {
    const loader = await start();
    const [deleted, expired, kept] = [await upload(loader), await upload(loader), await upload(loader)].map(
      ({ body }) => body.id,
    ) as [string, string, string];
    expect((await loader.request('DELETE', `/v1/segments/${deleted}`)).status).toBe(204);
    const long = Date.now() / 1000 - UPLOAD_TTL_SECONDS - 60;
    await loseEverything(loader);
    await utimes(join(loader.archiveDir, `${expired}.hcs`), long, long);
    await waitFor('the other one to be restored', () => isThere(loader, kept));
    await waitFor('the expired copies to be removed', async () => (await readdir(loader.archiveDir)).length === 1);
    expect(await statusOf(loader, deleted)).toBe(404);
  });

  it('are reported as lost if their file is damaged, and the others are restored', async () => {
    const loader = await start();
    const [damaged, other] = [await upload(loader), await upload(loader)].map(({ body }) => body.id) as [
      string,
      string,
    ];
    await truncate(join(loader.archiveDir, `${damaged}.hcs`), 2000);
    await loseEverything(loader);
    await waitFor('the other one to be restored', () => isThere(loader, other));
    await waitFor('the damaged file to be set aside', async () =>
      (await readdir(loader.archiveDir)).includes(`${damaged}.hcs.damaged`),
    );
    expect(await statusOf(loader, damaged)).toBe(404);
    expect(await loader.metrics()).toMatch(/^humancast_loader_archive_failures_total\S* 1$/m);
  });

  it('can be played although they could not be archived', async () => {
    const loader = await start();
    await rename(loader.archiveDir, `${loader.archiveDir}.moved`);
    const { status, body } = await upload(loader);
    expect(status).toBe(201);
    expect(await loader.store.hasAllParts(body.id)).toBe(true);
    expect(await loader.metrics()).toMatch(/^humancast_loader_archive_failures_total\S* 1$/m);
  });

  it('stay while they are pinned', async () => {
    const loader = await start();
    const { body } = await upload(loader, '&pinned=true');
    expect(body.pinned).toBe(true);
    expect(await loader.redis.ttl(`hc:{m:${body.id}}:manifest`)).toBe(-1);
    const path = `/v1/segments/${body.id}`;
    const patch = (change: unknown) =>
      loader.request('PATCH', path, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(change) });
    expect(await patch({ pinned: false })).toMatchObject({ status: 200, body: { pinned: false } });
    expect((await loader.request('GET', path)).body).toMatchObject({ pinned: false });
    expect(await loader.redis.ttl(`hc:{m:${body.id}}:manifest`)).toBeGreaterThan(900);
    expect(await patch({ pinned: true })).toMatchObject({ status: 200, body: { pinned: true } });
    await loseEverything(loader);
    await waitFor('the segment to be restored', () => isThere(loader, body.id));
    expect((await loader.request('GET', path)).body).toMatchObject({ pinned: true });
    expect(await patch({ pinned: 'yes' })).toMatchObject({ status: 400, body: { code: 'bad_request' } });
    expect(
      (
        await loader.request('PATCH', '/v1/segments/seg_00000000000000000000', {
          headers: { 'content-type': 'application/json' },
          body: '{"pinned":true}',
        })
      ).status,
    ).toBe(404);
  });

  describe('when the quota is reached', () => {
    /** @returns A quota for three segments and nearly a fourth. */
    const quotaFor = async () => {
      const loader = await start();
      const usage = await loader.store.usage((await upload(loader)).body.id);
      // A load reserves space by the requested bitrate, which is more than such small video takes.
      const expected = 2 * (300_000 / 8 + 48_000);
      return (usage?.bytes ?? 0) * 2 + expected;
    };

    it('are evicted in order of last use, except those pinned, queued or just used', async () => {
      const loader = await start({ MEDIA_QUOTA_BYTES: String(await quotaFor()) });
      const [old, older, pinned] = [
        await upload(loader),
        await upload(loader),
        await upload(loader, '&pinned=true'),
      ].map(({ body }) => body.id) as [string, string, string];
      await idle(loader, old, 200);
      await idle(loader, older, 300);
      const fourth = await upload(loader);
      expect(fourth.status).toBe(201);
      expect(await Promise.all([old, older, pinned].map((id) => isThere(loader, id)))).toEqual([true, false, true]);
      expect(await readdir(loader.archiveDir)).not.toContain(`${older}.hcs`);
      expect(await loader.metrics()).toMatch(/^humancast_loader_evictions_total\S* 1$/m);
    });

    it('are rejected with media_store_full if nothing can be evicted, and none is lost', async () => {
      const loader = await start({ MEDIA_QUOTA_BYTES: String(await quotaFor()) });
      const ids = [await upload(loader), await upload(loader), await upload(loader)].map(({ body }) => body.id);
      const rejected = await upload(loader);
      expect(rejected).toMatchObject({ status: 507, body: { code: 'media_store_full' } });
      expect(rejected.body.detail).toContain('MEDIA_QUOTA_BYTES');
      expect(await Promise.all(ids.map((id) => isThere(loader, id)))).toEqual([true, true, true]);
    });
  });
});
