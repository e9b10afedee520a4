import { readdir, rm } from 'node:fs/promises';
import { DeletionLog, newId, SessionRegistry } from '@humancast/shared';
import { bgrFrame, LIVE_HEADER, LivePusher, pushAtPace, waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { API_KEY, TestLoader } from '../../testing/start-test-loader.js';
import type { DeletionStep } from './deletion.js';

const RESCAN_MS = 500;
const STEPS: readonly DeletionStep[] = [
  ...(['intended', 'avatar-removed', 'work-ended', 'sessions-told'] as const),
  ...(['forbidden', 'unarchived', 'unstored', 'announced'] as const),
];

class SimulatedCrash extends Error {}

/** Deletes through the running service, with a real Redis and a real archive folder. */
describe('a deletion', () => {
  const clips = new Clips();
  const loaders: TestLoader[] = [];
  let clip: string;
  let long: string;
  beforeAll(async () => {
    clip = await clips.test('clip.mp4', { seconds: 1, size: '64x64' });
    long = await clips.test('long.mp4', { seconds: 20, size: '640x360' });
  });
  afterEach(async () => {
    for (const loader of loaders.splice(0)) await loader.stop();
  });
  afterAll(() => clips.remove());

  async function start(): Promise<TestLoader> {
    const loader = await TestLoader.start({ WATCH_RESCAN_MS: String(RESCAN_MS) });
    loaders.push(loader);
    return loader;
  }

  const upload = (loader: TestLoader, avatar: string, query = '', file = clip) => loader.upload(avatar, file, query);

  async function startPush(loader: TestLoader, avatar: string): Promise<{ pusher: LivePusher; segment: string }> {
    const pusher = await LivePusher.connect({ loaderUrl: loader.url, apiKey: API_KEY }, { avatar });
    const { segment } = await pusher.start({ ...LIVE_HEADER, width: 96, height: 64 });
    await pushAtPace(pusher, { frame: bgrFrame(96, 64, [255, 255, 255]), hz: 440, fps: 25, seconds: 1.2 }).done;
    return { pusher, segment };
  }

  async function sessionOf(loader: TestLoader, avatar: string): Promise<{ id: string; registry: SessionRegistry }> {
    const registry = new SessionRegistry(loader.redis);
    const id = newId('ses');
    await registry.create(id, avatar);
    return { id, registry };
  }

  const remove = (loader: TestLoader, path: string) => loader.request('DELETE', path).then(({ status }) => status);
  const statusOf = async (loader: TestLoader, id: string) => (await loader.request('GET', `/v1/segments/${id}`)).status;

  /** @returns Everything left of these segments, in the archive and in Redis. */
  async function traces(loader: TestLoader, ids: readonly string[]): Promise<string[]> {
    const files = await readdir(loader.archiveDir);
    const keys = await loader.redis.keys('hc:{m:*');
    const left = [...files, ...keys].filter((name) => !name.endsWith(':deleted'));
    return left.filter((name) => ids.some((id) => name.includes(id)));
  }

  /** Waits for that many runs of the housekeeper, each of which restores a segment. */
  async function housekeeperRuns(loader: TestLoader, count: number): Promise<void> {
    const other = (await upload(loader, 'other')).body.id;
    for (let i = 0; i < count; i++) {
      await loader.store.delete(other);
      await waitFor('the housekeeper to restore the other', () => loader.store.hasAllParts(other));
    }
  }

  it('of an avatar is final: two housekeeper runs, a restart and a new definition restore nothing', async () => {
    const loader = await start();
    for (const avatar of ['ann', 'ben', 'other']) await loader.defineAvatar(avatar);
    const plain = (await upload(loader, 'ann')).body.id;
    const pinned = (await upload(loader, 'ann', '&pinned=true')).body.id;
    const archivedOnly = (await upload(loader, 'ann')).body.id;
    const kept = (await upload(loader, 'ben')).body.id;
    await loader.store.setIdlePlaylist('ann', [plain]);
    const ids = [plain, pinned, archivedOnly];
    const log = new DeletionLog(loader.redis);
    await log.next();
    const { id, registry } = await sessionOf(loader, 'ann');
    await registry.speak(id, [plain, pinned]);
    expect(await remove(loader, '/v1/avatars/ann')).toBe(204);
    expect(await traces(loader, ids)).toEqual([]);
    expect(await loader.store.getIdlePlaylist('ann')).toEqual([]);
    expect((await log.next()).segments.toSorted()).toEqual(ids.toSorted());
    expect(
      (await registry.events(id, '0')).map(({ type, ...event }) => [type, 'reason' in event && event.reason]),
    ).toEqual([
      ['speech.finished', 'dropped'],
      ['speech.finished', 'dropped'],
      ['session.ended', 'avatar-deleted'],
    ]);
    await housekeeperRuns(loader, 2);
    await loader.stopService();
    await loader.startService();
    await housekeeperRuns(loader, 1);
    expect(await traces(loader, ids)).toEqual([]);
    expect(await Promise.all(ids.map((each) => statusOf(loader, each)))).toEqual([404, 404, 404]);
    expect(await statusOf(loader, kept)).toBe(200);
    // Nor is anything restored when the avatar is defined again.
    await loader.defineAvatar('ann');
    await housekeeperRuns(loader, 2);
    expect(await traces(loader, ids)).toEqual([]);
    expect(await loader.redis.hlen('hc:deletions:open')).toBe(0);
  });

  it('interrupted after any step is completed by the next process, and nothing is restored before', async () => {
    const loader = await start();
    await loader.defineAvatar('other');
    for (const step of STEPS) {
      const avatar = `ann-${step}`;
      await loader.defineAvatar(avatar);
      const ids = [(await upload(loader, avatar)).body.id, (await upload(loader, avatar, '&pinned=true')).body.id];
      await loader.stopService();
      let reached = 0;
      const afterDeletionStep = vi.fn(async (at: DeletionStep) => {
        if (at !== step && reached === 0) return;
        reached++;
        throw new SimulatedCrash(at);
      });
      await loader.startService({ afterDeletionStep });
      expect(await remove(loader, `/v1/avatars/${avatar}`)).toBe(500);
      expect(reached).toBeGreaterThan(0);
      await loader.stopService();
      await loader.startService();
      await waitFor('the deletion to be completed', async () => (await loader.redis.hlen('hc:deletions:open')) === 0);
      expect(await traces(loader, ids)).toEqual([]);
      expect((await loader.request('GET', `/v1/avatars/${avatar}`)).status).toBe(404);
    }
    await housekeeperRuns(loader, 1);
    expect(await readdir(loader.archiveDir)).toHaveLength(1); // of the other avatar
  }, 120_000);

  it('of one segment interrupted at any step drops it from every queue with an event that states the cause', async () => {
    const loader = await start();
    await loader.defineAvatar('ann');
    const other = (await upload(loader, 'ann')).body.id;
    for (const step of STEPS.filter((each) => each !== 'avatar-removed')) {
      const deleted = (await upload(loader, 'ann')).body.id;
      const { id, registry } = await sessionOf(loader, 'ann');
      await registry.speak(id, [deleted, other, deleted]);
      await loader.stopService();
      const afterDeletionStep = (at: DeletionStep) => {
        if (at === step) throw new SimulatedCrash(at);
      };
      await loader.startService({ afterDeletionStep });
      expect(await remove(loader, `/v1/segments/${deleted}`)).toBe(500);
      await loader.stopService();
      await loader.startService();
      await waitFor('the deletion to be completed', async () => (await loader.redis.hlen('hc:deletions:open')) === 0);
      expect(await traces(loader, [deleted])).toEqual([]);
      expect(await registry.events(id, '0')).toMatchObject([
        { type: 'speech.finished', seq: 1, segment: deleted, reason: 'dropped', cause: 'segment_deleted' },
        { type: 'speech.finished', seq: 3, segment: deleted, reason: 'dropped', cause: 'segment_deleted' },
      ]);
      expect(await registry.queue(id)).toEqual([{ seq: 2, segment: other }]);
      await registry.end(id, 'test over');
    }
  }, 120_000);

  it('of a segment that redis-media has lost removes its archived copy, which would restore it', async () => {
    const loader = await TestLoader.start({ WATCH_RESCAN_MS: '60000' }); // not before it is deleted
    loaders.push(loader);
    await loader.defineAvatar('ann');
    const { id } = (await upload(loader, 'ann')).body;
    await loader.store.delete(id);
    expect(await statusOf(loader, id)).toBe(404);
    expect(await remove(loader, `/v1/segments/${id}`)).toBe(204);
    expect(await traces(loader, [id])).toEqual([]);
    expect(await remove(loader, `/v1/segments/${id}`)).toBe(404);
  });

  it('of an avatar ends its uploads and live pushes, and removes their data', async () => {
    const loader = await start();
    for (const avatar of ['ann', 'ben']) await loader.defineAvatar(avatar);
    const loading = (await upload(loader, 'ann', '&wait=false', long)).body.id;
    const waited = upload(loader, 'ann', '', long);
    const { pusher, segment } = await startPush(loader, 'ann');
    await waitFor('both uploads to be listed', async () => (await loader.avatar('ann')).loading.length === 2);
    expect(await remove(loader, '/v1/avatars/ann')).toBe(204);
    expect(await waited).toMatchObject({ status: 404, body: { code: 'avatar_not_found' } });
    expect(await pusher.message('error')).toMatchObject({ code: 'avatar_not_found' });
    expect(await traces(loader, [loading, segment])).toEqual([]);
    expect(await loader.redis.keys('hc:{m:*:[va]:*')).toEqual([]);
    expect(await loader.redis.keys('hc:{m:*:live')).toEqual([]);
  });

  it('of a live push that is still open removes its data', async () => {
    const loader = await start();
    await loader.defineAvatar('ann');
    const { pusher, segment } = await startPush(loader, 'ann');
    expect(await remove(loader, `/v1/segments/${segment}`)).toBe(204);
    expect(await pusher.message('error')).toMatchObject({ code: 'segment_not_found' });
    expect(await traces(loader, [segment])).toEqual([]);
  });

  it('begun by a process that crashed is completed before the avatar is defined again', async () => {
    const loader = await start();
    await loader.defineAvatar('ann');
    const old = (await upload(loader, 'ann')).body.id;
    await loader.stopService();
    await loader.redis.hset('hc:deletions:open', 'avatar:ann', JSON.stringify({ kind: 'avatar', avatar: 'ann' }));
    await loader.startService();
    expect((await loader.defineAvatar('ann')).status).toBe(200);
    expect(await statusOf(loader, old)).toBe(404);
    expect((await upload(loader, 'ann')).status).toBe(201);
  });

  it('of an avatar with a watched folder is rejected with managed_by_folder', async () => {
    const loader = await start();
    await loader.drop(clip, 'ann/idle/a.mp4');
    await loader.avatarBecomes('ann', 'loaded', ({ idle }) => idle === 1);
    expect(await loader.request('DELETE', '/v1/avatars/ann')).toMatchObject({
      status: 409,
      body: { code: 'managed_by_folder' },
    });
    await rm(`${loader.mediaDir}/ann`, { recursive: true });
    await loader.avatarBecomes('ann', 'unloaded', ({ idle }) => idle === 0);
    expect(await remove(loader, '/v1/avatars/ann')).toBe(204);
    expect((await loader.request('GET', '/v1/avatars/ann')).status).toBe(404);
  });

  it('neither removes nor restores copies whose avatar is not defined, which a backup may restore', async () => {
    const loader = await start();
    for (const avatar of ['ann', 'other']) await loader.defineAvatar(avatar);
    const { id } = (await upload(loader, 'ann')).body;
    await loader.redis.hdel('hc:avatars', 'ann');
    await loader.store.delete(id);
    await housekeeperRuns(loader, 2);
    expect(await statusOf(loader, id)).toBe(404);
    expect(await readdir(loader.archiveDir)).toContain(`${id}.hcs`);
    await loader.defineAvatar('ann');
    await waitFor('the segment to be restored', () => loader.store.hasAllParts(id));
  });
});
