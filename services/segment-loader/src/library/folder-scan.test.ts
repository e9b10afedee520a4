import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scanFolder } from './folder-scan.js';

describe('scanFolder', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'humancast-scan-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function put(path: string, content = 'x'): Promise<void> {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }

  it('reads a playlist, which is no media file', async () => {
    await put('ann/idle/a.mp4');
    await put('ann/idle/playlist.m3u', 'a.mp4\na.mp4\n');
    const { files, playlists } = await scanFolder(root);
    expect(files.map(({ name }) => name)).toEqual(['a.mp4']);
    expect(playlists).toEqual(new Map([['ann', ['a.mp4', 'a.mp4']]]));
  });

  it('finds the files of every avatar with their role, whatever they are called', async () => {
    const names = [
      'a b.mp4',
      "it's.mp4",
      'a"b.mp4',
      '-i.mp4',
      '%d.png',
      'ünïcode 日本.mp4',
      'line\nbreak.mp4',
      '..mp4x',
    ];
    for (const name of names) await put(`ann/idle/${name}`, 'four');
    await put('bob/segments/hello.webm');
    const { avatars, files } = await scanFolder(root);
    expect([...avatars].sort()).toEqual(['ann', 'bob']);
    expect(
      files
        .filter(({ avatar }) => avatar === 'ann')
        .map(({ name }) => name)
        .sort(),
    ).toEqual(names.filter((name) => !name.startsWith('.')).sort());
    expect(files.find(({ avatar }) => avatar === 'bob')).toMatchObject({
      role: 'speech',
      name: 'hello.webm',
      sizeBytes: 1,
    });
    expect(files.every(({ role, avatar }) => (avatar === 'ann' ? role === 'idle' : role === 'speech'))).toBe(true);
  });

  it('leaves out hidden files, half files, folders, links and what lies elsewhere', async () => {
    for (const name of ['.hidden.mp4', 'a.mp4.part', 'b.crdownload', 'c.tmp', 'd.mp4~', 'sub/e.mp4'])
      await put(`ann/idle/${name}`);
    await put('ann/other/f.mp4');
    await put('ann/g.mp4');
    await put('.git/idle/h.mp4');
    await put('stray.mp4');
    await symlink('/etc/hostname', join(root, 'ann/idle/link.mp4'));
    await symlink(join(root, 'ann'), join(root, 'linked'));
    const { avatars, files, refused } = await scanFolder(root);
    expect(files).toEqual([]);
    expect(avatars).toEqual(['ann']);
    expect(refused).toEqual([]);
  });

  it('says which folders cannot be avatars', async () => {
    await put('My Avatar/idle/a.mp4');
    await put('ok/idle/a.mp4');
    const { avatars, refused } = await scanFolder(root);
    expect(avatars).toEqual(['ok']);
    expect(refused).toEqual([{ path: 'My Avatar', reason: expect.stringContaining('not an avatar id') as string }]);
  });

  it('fails when the folder is away: that is not the same as empty', async () => {
    await expect(scanFolder(join(root, 'gone'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
