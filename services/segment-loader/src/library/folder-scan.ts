import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { slugSchema } from '@humancast/shared';
import { type MediaFile, ROLE_OF_FOLDER, type SourceFile } from './media-file.js';
import { PLAYLIST_FILE, readPlaylist } from './playlist-file.js';

/** More than a library of clips has; past it, somebody has mounted the wrong folder. */
const MAX_FILES = 10_000;

/** Half a file, as browsers, downloaders and editors name it while they write. */
const UNFINISHED = /(\.(part|partial|crdownload|download|tmp|temp|swp)|~)$/i;

export interface FolderScan {
  /** Names of the avatars that have a folder. */
  readonly avatars: readonly string[];
  readonly files: readonly MediaFile[];
  /** By avatar, of those that have one. */
  readonly playlists: ReadonlyMap<string, readonly string[]>;
  /** What is there and can't be used, and why. */
  readonly refused: readonly { readonly path: string; readonly reason: string }[];
}

/**
 * Looks at `<root>/<avatar>/{idle,segments}/`. Symbolic links are not followed, and folders in them are not entered.
 * @throws the system's error when `root` itself can't be read.
 */
export async function scanFolder(root: string): Promise<FolderScan> {
  const avatars: string[] = [];
  const files: MediaFile[] = [];
  const playlists = new Map<string, readonly string[]>();
  const refused: { path: string; reason: string }[] = [];
  for (const entry of await readdir(root, { withFileTypes: true })) {
    if (!entry.isDirectory() || entry.name.startsWith('.')) continue;
    const avatar = slugSchema.safeParse(entry.name);
    if (!avatar.success) {
      const reason = `the folder's name is not an avatar id: it ${avatar.error.issues[0]?.message}`;
      refused.push({ path: entry.name, reason });
      continue;
    }
    avatars.push(avatar.data);
    await addPlaylist(playlists, root, avatar.data);
    for (const [folder, role] of Object.entries(ROLE_OF_FOLDER)) {
      for (const name of await mediaNames(join(root, avatar.data, folder))) {
        const path = join(root, avatar.data, folder, name);
        if (files.length === MAX_FILES) {
          refused.push({ path, reason: `there are more than ${MAX_FILES} files` });
          return { avatars, files, playlists, refused };
        }
        const file = await lookAt(path, name);
        if (file) files.push({ avatar: avatar.data, role, ...file });
      }
    }
  }
  return { avatars, files, playlists, refused };
}

async function addPlaylist(playlists: Map<string, readonly string[]>, root: string, avatar: string): Promise<void> {
  const playlist = await readPlaylist(join(root, avatar, 'idle'));
  if (playlist) playlists.set(avatar, playlist);
}

/** Of finished files, in no order; none where there is no such folder. */
export async function mediaNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException): Dirent[] => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.') && !UNFINISHED.test(entry.name))
    .map((entry) => entry.name)
    .filter((name) => name !== PLAYLIST_FILE);
}

/** `undefined` when it has gone since its folder was read. */
export async function lookAt(path: string, name: string): Promise<SourceFile | undefined> {
  const stats = await lstat(path).catch(() => undefined);
  if (!stats?.isFile()) return undefined;
  const { size, mtimeMs, ctimeMs } = stats;
  return { name, path, sizeBytes: size, modifiedMs: Math.trunc(mtimeMs), changedMs: Math.trunc(ctimeMs) };
}
