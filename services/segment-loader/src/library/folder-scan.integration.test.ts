import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scanFolder } from './folder-scan.js';

describe('scanFolder()', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'humancast-scan-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function put(path: string, content = 'x'): Promise<void> {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }

  it('reads a playlist without treating it as a media file', async () => {
    await put('ann/idle/a.mp4');
    await put('ann/idle/playlist.m3u', 'a.mp4\na.mp4\n');
    const { files, playlists } = await scanFolder(root);
    expect(files.map(({ name }) => name)).toEqual(['a.mp4']);
    expect(playlists).toEqual(new Map([['ann', ['a.mp4', 'a.mp4']]]));
  });

  it('finds the files of every avatar with their roles, whatever their names', async () => {
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

  it('finds the idle clips of named states, and their playlists', async () => {
    for (const path of ['idle/a.mp4', 'idle.thinking/a.mp4', 'idle.thinking/b.mp4', 'Idle.Listening/a.mp4']) {
      await put(`ann/${path}`);
    }
    await put('ann/idle.thinking/playlist.m3u', 'b.mp4\na.mp4\n');
    await put('ann/idle.not a state/a.mp4');
    const { files, playlists, rejected } = await scanFolder(root);
    expect(files.map(({ name }) => name).sort()).toEqual([
      'a.mp4',
      'listening/a.mp4',
      'thinking/a.mp4',
      'thinking/b.mp4',
    ]);
    expect(files.every(({ role }) => role === 'idle')).toBe(true);
    expect(playlists).toEqual(new Map([['ann/thinking', ['thinking/b.mp4', 'thinking/a.mp4']]]));
    expect(rejected).toMatchObject([{ path: 'ann/idle.not a state' }]);
  });

  it('silently skips hidden files, unfinished files and system files', async () => {
    for (const name of ['.hidden.mp4', 'a.mp4.part', 'b.crdownload', 'c.tmp', 'd.mp4~', 'Thumbs.db', '.DS_Store'])
      await put(`ann/idle/${name}`);
    for (const path of ['.git/idle/h.mp4', '@eaDir/idle/x.mp4', 'README.md', 'ann/notes.txt']) await put(path);
    expect(await scanFolder(root)).toMatchObject({ avatars: ['ann'], files: [], rejected: [] });
  });

  it('reports everything else that it cannot use', async () => {
    for (const path of [
      'ann/idle/sub/e.mp4',
      'ann/speech/f.mp4',
      'ann/g.mp4',
      'stray.mp4',
      'My Bob/idle/a.mp4',
      'My Bob/idle/playlist.m3u',
    ])
      await put(path, 'gone.mp4\n');
    await put('my-bob/idle/a.mp4');
    await symlink('nowhere', join(root, 'ann/idle/dangling.mp4'));
    await symlink('circle', join(root, 'ann/idle/circle'));
    await symlink('/proc/self/environ', join(root, 'ann/idle/secrets.mp4'));
    execFileSync('mkfifo', [join(root, 'ann/idle/pipe.mp4')]);
    const { files, rejected } = await scanFolder(root);
    expect(files.map(({ path }) => path)).toEqual([join(root, 'my-bob/idle/a.mp4')]);
    const reasons = new Map(rejected.map(({ path, avatar, reason }) => [path, `${avatar}: ${reason}`]));
    expect(Object.fromEntries([...reasons].sort())).toEqual({
      'My Bob': expect.stringContaining('my-bob: another folder already has the avatar ID') as string,
      'ann/g.mp4': expect.stringContaining('ann: it is in none of') as string,
      'ann/idle/circle': 'ann: its links form a cycle',
      'ann/idle/dangling.mp4': 'ann: the link leads nowhere',
      'ann/idle/pipe.mp4': 'ann: it is neither a file nor a folder',
      'ann/idle/secrets.mp4': 'ann: the link leads into a system folder',
      'ann/idle/sub': expect.stringContaining('ann: subfolders are not scanned') as string,
      'ann/speech': expect.stringContaining('ann: its name is none of') as string,
      'stray.mp4': expect.stringContaining('undefined: it is outside any avatar') as string,
    });
  });

  it('derives IDs from other folder names, and finds "Idle" and "SEGMENTS"', async () => {
    await put('My Avatar/Idle/a.mp4');
    await put('小美/SEGMENTS/b.mp4');
    const { avatars, files, names, rejected } = await scanFolder(root);
    expect(rejected).toEqual([]);
    expect(new Set(avatars)).toEqual(new Set(names.keys()));
    expect(names.get('my-avatar')).toBe('My Avatar');
    expect(files.map(({ avatar, role, name }) => `${names.get(avatar)} ${role} ${name}`).sort()).toEqual([
      'My Avatar idle a.mp4',
      '小美 speech b.mp4',
    ]);
  });

  it('follows links to files and folders, wherever they lead', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'humancast-nas-'));
    try {
      await mkdir(join(elsewhere, 'bob/idle'), { recursive: true });
      await writeFile(join(elsewhere, 'bob/idle/b.mp4'), 'x');
      await put('ann/idle/a.mp4');
      await symlink(join(elsewhere, 'bob'), join(root, 'bob'));
      await symlink(join(root, 'ann/idle/a.mp4'), join(root, 'ann/idle/again.mp4'));
      await mkdir(join(root, 'carl'));
      await symlink(join(elsewhere, 'bob/idle'), join(root, 'carl/idle'));
      await symlink(root, join(root, 'ann/segments'));
      await symlink('../ann', join(root, 'ann/idle/ann'));
      const { files, rejected } = await scanFolder(root);
      expect(files.map(({ avatar, name, path }) => [avatar, name, path]).sort()).toEqual([
        ['ann', 'a.mp4', join(root, 'ann/idle/a.mp4')],
        ['ann', 'again.mp4', join(root, 'ann/idle/a.mp4')],
        ['bob', 'b.mp4', join(elsewhere, 'bob/idle/b.mp4')],
        ['carl', 'b.mp4', join(elsewhere, 'bob/idle/b.mp4')],
      ]);
      expect(rejected.every(({ reason }) => reason.includes('not scanned') || reason.includes('nowhere'))).toBe(true);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });

  it('reads a mounted ConfigMap and its next version', async () => {
    const publish = async (version: string, content: string) => {
      await put(`ann/idle/..${version}/a.mp4`, content);
      await symlink(`..${version}`, join(root, 'ann/idle/..data_tmp'));
      await rename(join(root, 'ann/idle/..data_tmp'), join(root, 'ann/idle/..data'));
    };
    await publish('v1', 'one');
    await symlink('..data/a.mp4', join(root, 'ann/idle/a.mp4'));
    expect((await scanFolder(root)).files).toMatchObject([{ name: 'a.mp4', sizeBytes: 3 }]);
    await publish('v2', 'three');
    expect(await scanFolder(root)).toMatchObject({ files: [{ name: 'a.mp4', sizeBytes: 5 }], rejected: [] });
  });

  it('distinguishes an unreachable folder from an empty one', async () => {
    await put('ann/idle/a.mp4');
    await symlink('/nas/that/is/away', join(root, 'bob'));
    await symlink('/nas/that/is/away', join(root, 'ann/segments'));
    const { away, rejected } = await scanFolder(root);
    expect(away).toEqual(new Set(['bob', 'ann']));
    expect(rejected.map(({ path }) => path).sort()).toEqual(['ann/segments', 'bob']);
  });

  it('reports playlist lines without a matching file', async () => {
    await put(`ann/idle/${'é.mp4'.normalize('NFD')}`);
    await put('ann/idle/playlist.m3u', `gone.mp4\r\n./${'é.mp4'.normalize('NFC')}\r\n`);
    await put('bob/idle/PLAYLIST.M3U8', '#nothing');
    const { playlists, rejected } = await scanFolder(root);
    expect(playlists).toEqual(
      new Map([
        ['ann', ['é.mp4'.normalize('NFD')]],
        ['bob', []],
      ]),
    );
    expect(rejected).toEqual([
      { path: 'ann/idle/playlist.m3u', avatar: 'ann', reason: 'line 1 names "gone.mp4", which does not exist' },
    ]);
  });

  it('throws if the media folder is missing, unlike for an empty one', async () => {
    await expect(scanFolder(join(root, 'gone'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
