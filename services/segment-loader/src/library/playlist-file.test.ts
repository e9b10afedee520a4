import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PLAYLIST_FILE, parsePlaylist, readPlaylist } from './playlist-file.js';

describe('a playlist file', () => {
  it('names one file a line, and may have comments', () => {
    expect(parsePlaylist('\uFEFF#EXTM3U\r\nb.mp4\r\n\r\n  a clip.mp4 \n#EXTINF:3,x\nb.mp4')).toEqual([
      'b.mp4',
      'a clip.mp4',
      'b.mp4',
    ]);
  });

  it('is read from the folder, if there is one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'humancast-playlist-'));
    try {
      expect(await readPlaylist(folder)).toBeUndefined();
      await writeFile(join(folder, PLAYLIST_FILE), 'x.mp4\n');
      expect(await readPlaylist(folder)).toEqual(['x.mp4']);
      await writeFile(join(folder, PLAYLIST_FILE), 'x'.repeat(300_000));
      expect(await readPlaylist(folder)).toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
