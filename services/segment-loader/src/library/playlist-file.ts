import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** In an avatar's `idle/` folder: the order its clips are played in. */
export const PLAYLIST_FILE = 'playlist.m3u';
const MAX_BYTES = 262_144;

/**
 * File names in playing order, one a line; where one comes again, its first place counts. Empty lines and lines that begin with `#` (M3U's
 * comments) are left out. `undefined` when there is no such file, or it is too large to be one.
 */
export async function readPlaylist(idleFolder: string): Promise<readonly string[] | undefined> {
  const path = join(idleFolder, PLAYLIST_FILE);
  const stats = await stat(path).catch(() => undefined);
  if (!stats?.isFile() || stats.size > MAX_BYTES) return undefined;
  return parsePlaylist(await readFile(path, 'utf8').catch(() => ''));
}

export function parsePlaylist(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
