import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { matchPlaylist, parsePlaylist, readPlaylist } from './playlist-file.js';

const namesIn = (bytes: Buffer) => parsePlaylist(bytes).map(({ entry }) => entry);
const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16();

describe('parsePlaylist()', () => {
  it('reads one file name per line and skips comments', () => {
    expect(parsePlaylist(Buffer.from('#EXTM3U\r\nb.mp4\r\n\r\n  a clip.mp4 \n#EXTINF:3,x\nb.mp4'))).toEqual([
      { line: 2, entry: 'b.mp4' },
      { line: 4, entry: 'a clip.mp4' },
      { line: 6, entry: 'b.mp4' },
    ]);
  });

  const text = '#EXTM3U\r\nprêt.mp4\rlächeln.mp4\n';
  it.each([
    ['UTF-8', Buffer.from(text)],
    ['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${text}`)],
    ['UTF-16 of little endian', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['UTF-16 of big endian', utf16be(`\uFEFF${text}`)],
    ['UTF-16 of little endian without a mark', Buffer.from(text, 'utf16le')],
    ['UTF-16 of big endian without a mark', utf16be(text)],
    ['Latin-1', Buffer.from(text, 'latin1')],
  ])('reads %s', (_, bytes) => {
    expect(namesIn(bytes)).toEqual(['prêt.mp4', 'lächeln.mp4']);
  });
});

describe('matchPlaylist()', () => {
  const names = ['Prêt.mp4'.normalize('NFD'), 'a b.mp4', 'c.mp4', '微笑.mp4'];
  const match = (...entries: string[]) =>
    matchPlaylist(
      entries.map((entry, i) => ({ line: i + 1, entry })),
      names,
    );

  it.each([
    ['Prêt.mp4'.normalize('NFC'), 0],
    ['Prêt.mp4'.normalize('NFD'), 0],
    ['prêt.MP4', 0],
    ['./a b.mp4', 1],
    ['a%20b.mp4', 1],
    ['file:///srv/media/anna/idle/a%20b.mp4', 1],
    ['C:\\clips\\c.mp4', 2],
    ['.\\c.mp4', 2],
    ['"c.mp4"', 2],
    ['../idle/微笑.mp4', 3],
    ['%E5%BE%AE%E7%AC%91.mp4', 3],
  ])('finds the file for "%s"', (entry, index) => {
    expect(match(entry)).toEqual({ found: [names[index]], missing: [] });
  });

  it('prefers an exact match, and reports names without a match', () => {
    const both = matchPlaylist([{ line: 1, entry: 'A.mp4' }], ['a.mp4', 'A.mp4']);
    expect(both.found).toEqual(['A.mp4']);
    expect(match('gone.mp4', 'c.mp4', '100%.mp4')).toEqual({
      found: ['c.mp4'],
      missing: [
        { line: 1, entry: 'gone.mp4' },
        { line: 3, entry: '100%.mp4' },
      ],
    });
  });
});

describe('readPlaylist()', () => {
  it('returns why a playlist cannot be read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'humancast-playlist-'));
    const path = join(folder, 'playlist.m3u');
    try {
      expect(await readPlaylist(path)).toContain('cannot be read: ENOENT');
      expect(await readPlaylist(folder)).toBe('the playlist is not a regular file');
      await writeFile(path, 'x.mp4\n');
      expect(await readPlaylist(path)).toEqual([{ line: 1, entry: 'x.mp4' }]);
      await writeFile(path, 'x'.repeat(300_000));
      expect(await readPlaylist(path)).toContain('300000 bytes');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
