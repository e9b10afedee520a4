import { HumancastError } from '@humancast/shared';

/** What the system means by a full disk, as our error; any other stays what it is. @param what doesn't fit, for people. */
export function orDiskFull(error: unknown, what: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new HumancastError('disk_full', { detail: `${what} does not fit on the disk`, cause: error });
}
