import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { HumancastError } from '@humancast/shared';
import type { SourceFile } from './media-file.js';

/**
 * Opens exactly the file that was scanned, with links resolved then: not a link that has replaced it, and not a pipe, whose
 * opening would block.
 * @returns `undefined` if the file has changed; the next scan handles it.
 * @throws HumancastError `unavailable` if it can't be opened.
 */
export async function openSource(file: SourceFile): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(file.path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ELOOP') return undefined;
    throw new HumancastError('unavailable', { detail: `the file cannot be opened: ${error.code}`, cause: error });
  });
  if (!handle) return undefined;
  const stats = await handle.stat();
  const same = stats.isFile() && stats.size === file.sizeBytes && Math.trunc(stats.mtimeMs) === file.modifiedMs;
  if (same) return handle;
  await handle.close();
  return undefined;
}
