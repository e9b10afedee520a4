import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { avatarFolders, avatarIdOf, subfolder } from './avatar-folder.js';
import { LAYERS_FOLDER, type MediaFile, ROLE_OF_FOLDER, type SourceFile, STATE_FOLDER } from './media-file.js';
import { matchPlaylist, PLAYLIST_NAMES, readPlaylist } from './playlist-file.js';

/** Limit that no clip library reaches; above it, the wrong folder is mounted. */
const MAX_FILES = 10_000;

/** Names that browsers, downloaders and editors give to unfinished files. */
const UNFINISHED = /(\.(part|partial|crdownload|download|tmp|temp|swp)|~)$/i;

/** Names that operating systems and NAS devices create on their own. */
const LITTER =
  /^(\..*|Thumbs\.db|desktop\.ini|lost\+found|@eaDir|#recycle|\$RECYCLE\.BIN|System Volume Information|__MACOSX)$/i;

/** Names of media files; matters only where no media is expected. */
const MEDIA_NAME =
  /\.(mp4|m4v|mov|mkv|webm|avi|ts|flv|gif|apng|png|jpe?g|webp|bmp|heic|wav|mp3|m4a|aac|flac|ogg|opus)$/i;

/** Folders whose files look regular but belong to the kernel. */
const SYSTEM_FOLDERS = /^\/(proc|sys|dev)\//;

/** An entry that can't be used, and why. */
export interface Rejected {
  /** Path within the media folder. */
  readonly path: string;
  /** Avatar of the folder it is in; `undefined` outside avatars' folders. */
  readonly avatar: string | undefined;
  readonly reason: string;
}

export interface FolderScan {
  /** IDs of the avatars that have a folder. */
  readonly avatars: readonly string[];
  /** Folder names by avatar, where they differ from the ID. */
  readonly names: ReadonlyMap<string, string>;
  /** Avatars whose folder exists but can't be read now; their loaded segments are kept. */
  readonly away: ReadonlySet<string>;
  readonly files: readonly MediaFile[];
  /** Idle file names in playing order, by avatar that has a playlist; those of a state by `avatar/state`. */
  readonly playlists: ReadonlyMap<string, readonly string[]>;
  readonly rejected: readonly Rejected[];
}

/**
 * Scans `<root>/<avatar>/{idle,idle.<state>,segments}/`. Symbolic links to files and folders are followed, but not into `/proc`, `/sys`
 * and `/dev`; subfolders of these folders are not scanned, so link cycles do no harm. Hidden, unfinished and system files
 * are skipped; everything else that can't be used is in `rejected`.
 * @throws The system's error if `root` itself can't be read.
 */
export async function scanFolder(root: string): Promise<FolderScan> {
  return new Scan(root).run();
}

class Scan {
  readonly #root: string;
  readonly #names = new Map<string, string>();
  readonly #away = new Set<string>();
  readonly #files: MediaFile[] = [];
  readonly #playlists = new Map<string, readonly string[]>();
  readonly #rejected: Rejected[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  async run(): Promise<FolderScan> {
    const names: string[] = [];
    for (const name of (await readdir(this.#root)).filter((each) => !LITTER.test(each))) {
      const kind = await kindOf(join(this.#root, name));
      if (kind === 'folder') names.push(name);
      else if (kind !== 'file') {
        // The link may lead to an unmounted drive, so the avatar's segments are kept.
        this.#away.add(avatarIdOf(name));
        this.#reject(name, undefined, kind);
      } else if (MEDIA_NAME.test(name))
        this.#reject(name, undefined, 'it is outside any avatar\u2019s "idle" or "segments" folder');
    }
    const { folders, taken } = avatarFolders(names);
    for (const { id, name } of taken) {
      this.#reject(name, id, `another folder already has the avatar ID "${id}"; rename this one`);
    }
    for (const { id, name } of folders) {
      if (name !== id) this.#names.set(id, name);
      await this.#scanAvatar(id, name);
    }
    return {
      avatars: folders.map(({ id }) => id),
      names: this.#names,
      away: this.#away,
      files: this.#files,
      playlists: this.#playlists,
      rejected: this.#rejected,
    };
  }

  async #scanAvatar(avatar: string, folder: string): Promise<void> {
    const path = join(this.#root, folder);
    const entries = await this.#entries(avatar, folder);
    const known = new Set<string>();
    for (const [wanted, role] of Object.entries(ROLE_OF_FOLDER)) {
      const found = subfolder(path, entries, wanted);
      if (found === undefined) continue;
      known.add(found);
      await this.#scanRole(avatar, role, found.slice(this.#root.length + 1));
    }
    known.add(subfolder(path, entries, LAYERS_FOLDER) ?? '');
    for (const name of entries) {
      const state = STATE_FOLDER.exec(name)?.[1]?.toLowerCase();
      if (state === undefined || (await kindOf(join(path, name))) !== 'folder') continue;
      known.add(join(path, name));
      await this.#scanRole(avatar, 'idle', join(folder, name), state);
    }
    for (const name of entries.filter((each) => !known.has(join(path, each)))) {
      const kind = await kindOf(join(path, name));
      const isMedia = kind === 'file' && MEDIA_NAME.test(name);
      if (kind === 'file' && !isMedia) continue;
      const folders = [...Object.keys(ROLE_OF_FOLDER), LAYERS_FOLDER].map((each) => `"${each}"`).join(', ');
      const reason = kind === 'folder' ? `its name is none of ${folders}` : `it is in none of the folders ${folders}`;
      this.#reject(join(folder, name), avatar, kind === 'folder' || kind === 'file' ? reason : kind);
    }
  }

  /** @param state The state of the idle clips in the folder, if it has a name. */
  async #scanRole(avatar: string, role: MediaFile['role'], folder: string, state?: string): Promise<void> {
    const entries = await this.#entries(avatar, folder);
    const names: string[] = [];
    for (const name of entries.filter((each) => !UNFINISHED.test(each) && !PLAYLIST_NAMES.test(each))) {
      const path = join(folder, name);
      if (this.#files.length === MAX_FILES) {
        this.#reject(path, avatar, `there are more than ${MAX_FILES} files`);
        break;
      }
      const file = await lookAt(join(this.#root, path), name);
      if (typeof file === 'string') this.#reject(path, avatar, file);
      else if (file) {
        names.push(name);
        this.#files.push({ avatar, role, ...file, name: state === undefined ? name : `${state}/${name}` });
      }
    }
    if (role === 'idle') await this.#addPlaylist(avatar, folder, entries, names, state);
  }

  async #addPlaylist(
    avatar: string,
    folder: string,
    entries: readonly string[],
    names: readonly string[],
    state: string | undefined,
  ): Promise<void> {
    const name = entries.filter((each) => PLAYLIST_NAMES.test(each)).sort()[0];
    if (name === undefined) return;
    const listed = await readPlaylist(join(this.#root, folder, name));
    if (typeof listed === 'string') {
      this.#reject(join(folder, name), avatar, listed);
      return;
    }
    const { found, missing } = matchPlaylist(listed, names);
    if (state === undefined) this.#playlists.set(avatar, found);
    else {
      const inState = found.map((each) => `${state}/${each}`);
      this.#playlists.set(`${avatar}/${state}`, inState);
    }
    for (const { line, entry } of missing) {
      this.#reject(join(folder, name), avatar, `line ${line} names "${entry.slice(0, 200)}", which does not exist`);
    }
  }

  /** @returns The relevant names in a folder; empty if it can't be read. */
  async #entries(avatar: string, folder: string): Promise<string[]> {
    const path = join(this.#root, folder);
    try {
      const isSystem = SYSTEM_FOLDERS.test(`${await realpath(path)}/`);
      if (!isSystem) return (await readdir(path)).filter((name) => !LITTER.test(name));
      this.#reject(folder, avatar, 'the link leads into a system folder');
    } catch (error) {
      // The parent listed it, so it is on an unreachable drive, or permissions are missing.
      this.#away.add(avatar);
      this.#reject(folder, avatar, reasonOf(error as NodeJS.ErrnoException));
    }
    return [];
  }

  #reject(path: string, avatar: string | undefined, reason: string): void {
    this.#rejected.push({ path, avatar, reason });
  }
}

/** @returns `folder`, `file`, or why the path can't be used. */
async function kindOf(path: string): Promise<string> {
  try {
    const stats = await stat(path);
    return stats.isDirectory() ? 'folder' : stats.isFile() ? 'file' : 'it is neither a file nor a folder';
  } catch (error) {
    return reasonOf(error as NodeJS.ErrnoException);
  }
}

function reasonOf({ code }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'the link leads nowhere';
  if (code === 'ELOOP') return 'its links form a cycle';
  if (code === 'ENOTDIR') return 'it is not a folder';
  return `it cannot be read: ${code}`;
}

/** @returns The unsorted names of finished files in a folder; empty if there is no such folder. */
export async function mediaNames(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  return entries.filter((name) => !LITTER.test(name) && !UNFINISHED.test(name));
}

/** @returns The file that a path leads to, why it can't be used, or `undefined` if it no longer exists. */
export async function lookAt(path: string, name: string): Promise<SourceFile | string | undefined> {
  try {
    const target = await realpath(path);
    if (SYSTEM_FOLDERS.test(target)) return 'the link leads into a system folder';
    const stats = await stat(target);
    if (stats.isDirectory()) return 'subfolders are not scanned; move their files up';
    if (!stats.isFile()) return 'it is neither a file nor a folder';
    const { size, mtimeMs, ctimeMs } = stats;
    return { name, path: target, sizeBytes: size, modifiedMs: Math.trunc(mtimeMs), changedMs: Math.trunc(ctimeMs) };
  } catch (error) {
    return reasonOf(error as NodeJS.ErrnoException);
  }
}
