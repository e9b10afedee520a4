import { appendFile, mkdir, open, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AvatarStore } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { type SegmentView, TestLoader } from '../../testing/start-test-loader.js';

/** Runs the whole service with a watched folder. */
describe('the library', () => {
  const clips = new Clips();
  let one: string;
  let two: string;
  let broken: string;
  beforeAll(async () => {
    one = await clips.test('one.mp4', { seconds: 1, size: '64x64' });
    two = await clips.test('two.mp4', { seconds: 2, size: '64x64' });
    broken = await clips.bytes('broken.mp4', 'no media at all');
  });
  afterAll(() => clips.remove());

  let loader: TestLoader;
  beforeEach(async () => {
    loader = await TestLoader.start();
  });
  afterEach(() => loader.stop());

  const namesOf = async (ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await loader.store.getManifest(id))?.name));
  const idleCount = (count: number) => (avatar: { idlePlaylist: string[] }) => avatar.idlePlaylist.length === count;

  it('loads new files, plays idle clips by name, and reports files that it cannot load', async () => {
    await loader.drop(broken, 'ann/idle/0 broken.mp4');
    await loader.drop(two, 'ann/idle/clip 10.mp4');
    await loader.drop(one, 'ann/idle/clip 2.mp4');
    await loader.drop(one, 'ann/segments/"hello", it\'s %d\n.mp4');
    const avatar = await loader.avatarBecomes('ann', 'three segments', ({ idle, segments }) => idle + segments === 3);
    await loader.avatarBecomes('ann', 'the playlist', idleCount(2));
    expect(await namesOf((await loader.avatar('ann')).idlePlaylist)).toEqual(['clip 2.mp4', 'clip 10.mp4']);
    expect(avatar.problems).toEqual([
      { file: 'idle/0 broken.mp4', code: 'media_unreadable', message: expect.any(String) as string },
    ]);
    const list = (await loader.request<{ segments: SegmentView[] }>('GET', '/v1/segments?avatar=ann&q=HELLO')).body;
    expect(list.segments).toMatchObject([
      { name: '"hello", it\'s %d\n.mp4', role: 'speech', source: 'library', durationMs: 1000 },
    ]);
  });

  it('loads folders with unusual names and files behind links, and reports what it cannot use', async () => {
    await loader.drop(one, '../nas/smile.mp4');
    await mkdir(join(loader.mediaDir, 'My Avatar/Idle'), { recursive: true });
    await symlink(join(loader.mediaDir, '../nas/smile.mp4'), join(loader.mediaDir, 'My Avatar/Idle/smile.mp4'));
    await symlink('nowhere', join(loader.mediaDir, 'My Avatar/Idle/gone.mp4'));
    await loader.drop(one, 'stray.mp4');
    const avatar = await loader.avatarBecomes('my-avatar', 'a clip', idleCount(1));
    expect(avatar).toMatchObject({ name: 'My Avatar', problemCount: 1 });
    expect(avatar.problems).toEqual([
      { file: 'Idle/gone.mp4', code: 'library_entry_unusable', message: 'the link leads nowhere' },
    ]);
    const { body } = await loader.request('GET', '/v1/avatars');
    expect(body).toMatchObject({ problems: [{ file: 'stray.mp4', code: 'library_entry_unusable' }] });
    const published = new AvatarStore(loader.redis);
    const fields = await waitFor('both to be published', async () => {
      const problems = await published.problems();
      return problems.size === 2 && problems;
    });
    expect(fields.get('my-avatar')).toEqual({ count: 1, problems: avatar.problems });
    expect(fields.get(undefined)).toMatchObject({ count: 1, problems: [{ file: 'stray.mp4' }] });
    expect(await loader.metrics()).toMatch(/humancast_loader_library_problems(\{[^}]*\})? 2\n/);
    await rm(join(loader.mediaDir, 'stray.mp4'));
    await rm(join(loader.mediaDir, 'My Avatar/Idle/gone.mp4'));
    await waitFor('the problems to be taken back', async () => (await published.problems()).size === 0);
  });

  it('loads other avatars while one record is unreadable, and that one once it is readable', async () => {
    const unreadable = '{"id":"bob","cutPolicy":"in another version"}';
    await loader.redis.hset('hc:avatars', 'bob', unreadable);
    await loader.drop(one, 'bob/idle/one.mp4');
    await loader.drop(one, 'ann/idle/one.mp4');
    await loader.avatarBecomes('ann', 'a clip', idleCount(1));
    // This scan begins with the unreadable record in place.
    await loader.drop(two, 'ann/idle/two.mp4');
    await loader.avatarBecomes('ann', 'both clips', idleCount(2));
    expect(await loader.redis.hget('hc:avatars', 'bob')).toBe(unreadable);
    await loader.redis.hdel('hc:avatars', 'bob');
    await loader.avatarBecomes('bob', 'its clip', idleCount(1));
  });

  it('waits for a file that is still being written', async () => {
    const bytes = await readFile(two);
    await loader.drop(one, 'ann/idle/first.mp4');
    const path = join(loader.mediaDir, 'ann/idle/slow.mp4');
    const file = await open(path, 'w');
    for (let i = 0; i < 8; i++) {
      await file.write(bytes.subarray((i * bytes.length) / 8, ((i + 1) * bytes.length) / 8));
      await sleep(50);
    }
    await file.close();
    const avatar = await loader.avatarBecomes('ann', 'both clips', idleCount(2));
    expect(avatar.problems).toEqual([]);
    expect((await loader.store.getManifest(avatar.idlePlaylist[1] ?? ''))?.frames).toBe(60);
  });

  it("merges an avatar's clips with its composition's layers, and again when they change", async () => {
    const layers = [{ input: 'studio' }, { input: 'main', atEnd: 'freeze' }];
    const composition = { width: 128, height: 72, layout: 'over-background', layers };
    await loader.drop(one, 'ann/idle/a.mp4');
    expect(
      (await loader.defineAvatar('ann', { composition: { ...composition, layers: [{ input: 'studio' }] } })).status,
    ).toBe(400);
    expect((await loader.defineAvatar('ann', { composition })).status).toBe(200);
    const { problems } = await loader.avatarBecomes('ann', 'a problem', (avatar) => avatar.problems.length > 0);
    expect(problems).toMatchObject([{ file: 'idle/a.mp4', code: 'composition_input_missing' }]);

    await loader.drop(
      await clips.make('studio.png', ['-f', 'lavfi', '-i', 'color=blue:s=64x64', '-frames:v', '1']),
      'ann/layers/studio.png',
    );
    const before = (await loader.avatarBecomes('ann', 'the merged clip', idleCount(1))).idlePlaylist[0] ?? '';
    expect(await loader.store.getManifest(before)).toMatchObject({
      frames: 30,
      renditions: [{ width: 128, height: 72 }],
    });

    await loader.drop(
      await clips.make('sky.png', ['-f', 'lavfi', '-i', 'color=red:s=65x65', '-frames:v', '1']),
      'ann/layers/studio.png',
    );
    const changed = ({ idlePlaylist: [id = before] }: { idlePlaylist: string[] }) => id !== before;
    await loader.avatarBecomes('ann', 'another clip', changed);

    expect(await loader.upload('ann', two)).toMatchObject({
      status: 201,
      body: { frames: 60, renditions: [{ width: 128, height: 72 }] },
    });
  });

  it('unloads a file that is removed', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    await loader.drop(one, 'ann/segments/s.mp4');
    const { idlePlaylist } = await loader.avatarBecomes(
      'ann',
      'both',
      ({ idle, segments }) => idle === 1 && segments === 1,
    );
    await rm(join(loader.mediaDir, 'ann/idle/a.mp4'));
    await loader.avatarBecomes('ann', 'an empty playlist', idleCount(0));
    await waitFor(
      'the segment to go',
      async () => (await loader.store.getManifest(idlePlaylist[0] ?? '')) === undefined,
    );
    expect((await loader.avatar('ann')).segments).toBe(1);
  });

  it("keeps playing a changed file's former content until the new one is loaded", async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const before = (await loader.avatarBecomes('ann', 'the first', idleCount(1))).idlePlaylist[0] ?? '';
    await loader.drop(two, 'ann/idle/a.mp4');
    const seen = new Set<string>();
    await waitFor('the second', async () => {
      const playlist = await loader.store.getIdlePlaylist('ann');
      expect(playlist).toHaveLength(1);
      expect(
        (await loader.store.hasAllParts(playlist[0] ?? '')) ||
          (await loader.store.getIdlePlaylist('ann'))[0] !== playlist[0],
      ).toBe(true);
      seen.add(playlist[0] ?? '');
      return playlist[0] !== before;
    });
    expect(seen.size).toBe(2);
    await waitFor('the first to go', async () => (await loader.store.getManifest(before)) === undefined);
  });

  it('keeps the former content and reports a problem if the new one cannot be loaded, until it is fixed', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const before = (await loader.avatarBecomes('ann', 'the first', idleCount(1))).idlePlaylist;
    await loader.drop(broken, 'ann/idle/a.mp4');
    const avatar = await loader.avatarBecomes('ann', 'the problem', ({ problems }) => problems.length === 1);
    expect(avatar.idlePlaylist).toEqual(before);
    await loader.drop(two, 'ann/idle/a.mp4');
    await loader.avatarBecomes(
      'ann',
      'the repair',
      ({ problems, idlePlaylist }) => problems.length === 0 && idlePlaylist[0] !== before[0],
    );
  });

  it('finds all segments after a restart without encoding, and unloads those removed meanwhile', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    await loader.drop(one, 'ann/idle/b.mp4');
    const before = await loader.avatarBecomes('ann', 'both', idleCount(2));
    const manifest = await loader.store.getManifest(before.idlePlaylist[0] ?? '');
    await loader.stopService();
    await rm(join(loader.mediaDir, 'ann/idle/b.mp4'));
    await loader.startService();
    const after = await loader.avatarBecomes('ann', 'one clip', idleCount(1));
    expect(after.idlePlaylist).toEqual(before.idlePlaylist.slice(0, 1));
    expect(await loader.store.getManifest(after.idlePlaylist[0] ?? '')).toEqual(manifest);
  });

  it('recovers after the media store was flushed or lost a part', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const id = (await loader.avatarBecomes('ann', 'the clip', idleCount(1))).idlePlaylist[0] ?? '';
    await loader.redis.flushall();
    await waitFor(
      'the clip again',
      async () => (await loader.store.hasAllParts(id)) && (await loader.store.getIdlePlaylist('ann'))[0] === id,
    );
    await loader.redis.del(`hc:{m:${id}}:a:0`);
    await waitFor('the lost part', () => loader.store.hasAllParts(id));
    await loader.avatarBecomes('ann', 'the playlist', idleCount(1));
  });

  it('recovers after a database crashes and returns empty', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    await loader.avatarBecomes('ann', 'the clip', idleCount(1));
    await loader.server.kill();
    await waitFor('not being ready', async () => (await loader.request('GET', '/readyz')).status === 503);
    expect(await loader.request('GET', '/v1/avatars')).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    await loader.drop(one, 'ann/idle/b.mp4');
    await loader.server.restart();
    await loader.avatarBecomes('ann', 'both clips', idleCount(2));
  });

  it('keeps loaded segments while the folder is unreachable, and continues when it is back', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const { idlePlaylist } = await loader.avatarBecomes('ann', 'the clip', idleCount(1));
    await rename(loader.mediaDir, `${loader.mediaDir}.away`);
    await sleep(700);
    expect((await loader.avatar('ann')).idlePlaylist).toEqual(idlePlaylist);
    await rename(`${loader.mediaDir}.away`, loader.mediaDir);
    await loader.drop(one, 'ann/idle/b.mp4');
    await loader.avatarBecomes('ann', 'both clips', idleCount(2));
  });

  it("encodes again when the avatar's definition changes, playing the former segment until then", async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const before = (await loader.avatarBecomes('ann', 'the clip', idleCount(1))).idlePlaylist[0];
    expect((await loader.defineAvatar('ann', { fps: { num: 15, den: 1 } })).status).toBe(200);
    const after = await loader.avatarBecomes(
      'ann',
      'the new clip',
      ({ idlePlaylist }) => idlePlaylist.length === 1 && idlePlaylist[0] !== before,
    );
    expect(await loader.store.getManifest(after.idlePlaylist[0] ?? '')).toMatchObject({
      frames: 15,
      fps: { num: 15, den: 1 },
    });
  });

  it('reports a folder that cannot be an avatar and continues with the others', async () => {
    await mkdir(join(loader.mediaDir, 'Ann/idle'), { recursive: true });
    await loader.drop(one, 'ann/idle/a.mp4');
    await loader.avatarBecomes('ann', 'the clip', idleCount(1));
    expect((await loader.request<{ avatars: unknown[] }>('GET', '/v1/avatars')).body.avatars).toHaveLength(1);
    expect((await loader.avatar('ann')).problems).toMatchObject([{ file: 'Ann', code: 'library_entry_unusable' }]);
  });

  it('reloads a file that grew after it was loaded', async () => {
    await loader.drop(one, 'ann/idle/a.mp4');
    const before = (await loader.avatarBecomes('ann', 'the clip', idleCount(1))).idlePlaylist[0];
    // A free box (ISO/IEC 14496-12 §8.1.2) changes the bytes but not the media.
    await appendFile(join(loader.mediaDir, 'ann/idle/a.mp4'), Buffer.from([0, 0, 0, 8, ...Buffer.from('free')]));
    await loader.avatarBecomes(
      'ann',
      'its new id',
      ({ idlePlaylist }) => idlePlaylist.length === 1 && idlePlaylist[0] !== before,
    );
  });
});

describe('the library with a full media store', () => {
  const clips = new Clips();
  afterAll(() => clips.remove());

  it('reports media_store_full and loads the files that still fit', async () => {
    const loader = await TestLoader.start({ RENDITIONS: 'vp8:vp8:640x640:2000k' }, { maxmemory: '6mb' });
    try {
      const output = [
        '-vf',
        'noise=alls=60:allf=t',
        '-c:v',
        'libx264',
        '-preset',
        'ultrafast',
        '-crf',
        '30',
        '-pix_fmt',
        'yuv420p',
      ];
      await loader.drop(
        await clips.test('large.mp4', { seconds: 16, size: '320x240', output }),
        'ann/segments/a large.mp4',
      );
      await loader.drop(await clips.test('small.mp4', { seconds: 1, size: '64x64' }), 'ann/segments/b small.mp4');
      const avatar = await loader.avatarBecomes(
        'ann',
        'the problem, and the small one',
        ({ problems, segments }) => problems.length === 1 && segments === 1,
      );
      expect(avatar.problems[0]).toMatchObject({ file: 'segments/a large.mp4', code: 'media_store_full' });
    } finally {
      await loader.stop();
    }
  });
});
