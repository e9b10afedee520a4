import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { slugSchema } from '@humancast/protocol';

const MAX_ID_LENGTH = 64;

/** A folder in the media folder, and the ID of its avatar. */
export interface AvatarFolder {
  readonly id: string;
  /** Name of the folder. */
  readonly name: string;
}

/**
 * Derives an avatar's ID from its folder's name, deterministically. A valid ID is returned unchanged. Otherwise letters
 * become lowercase, accents are removed, and other characters become "-"; if more than that is lost (Chinese, for example),
 * a short hash of the name is added.
 */
export function avatarIdOf(name: string): string {
  if (slugSchema.safeParse(name).success) return name;
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  const slug = plain.replace(/[^a-z0-9_]+/g, '-').replace(/^[-_]+|-+$/g, '');
  const isWhole = !/[\p{L}\p{N}]/u.test(plain.replace(/[a-z0-9]/g, '')) && slug !== '' && slug.length <= MAX_ID_LENGTH;
  if (isWhole) return slug;
  const hash = createHash('sha256').update(name.normalize('NFC')).digest('hex').slice(0, 8);
  return `${slug.slice(0, MAX_ID_LENGTH - hash.length - 1).replace(/-+$/, '') || 'avatar'}-${hash}`;
}

/**
 * Assigns an avatar to each folder. If several names give the same ID, the folder with exactly that name has it, else the
 * first by name.
 * @returns The folders with an avatar, and those whose ID is taken.
 */
export function avatarFolders(names: readonly string[]): {
  readonly folders: AvatarFolder[];
  readonly taken: AvatarFolder[];
} {
  const byId = new Map<string, AvatarFolder>();
  const taken: AvatarFolder[] = [];
  const isExact = (name: string) => avatarIdOf(name) === name;
  for (const name of [...names].sort((a, b) => Number(isExact(b)) - Number(isExact(a)) || (a < b ? -1 : 1))) {
    const folder = { id: avatarIdOf(name), name };
    if (byId.has(folder.id)) taken.push(folder);
    else byId.set(folder.id, folder);
  }
  return { folders: [...byId.values()], taken };
}

/** @returns The path of an avatar's folder; if there is none, the path that it would have. */
export async function avatarFolderOf(root: string, id: string): Promise<string> {
  const path = join(root, id);
  if (await isFolder(path)) return path;
  const names = await readdir(root).catch(() => []);
  const { folders } = avatarFolders(names.filter((name) => !name.startsWith('.')));
  return join(root, folders.find((folder) => folder.id === id)?.name ?? id);
}

/** @returns The path of a folder within an avatar's folder. An exact match takes precedence over one in another case. */
export function subfolder(folder: string, names: readonly string[], wanted: string): string | undefined {
  const name = names.includes(wanted) ? wanted : names.find((other) => other.toLowerCase() === wanted);
  return name === undefined ? undefined : join(folder, name);
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}
