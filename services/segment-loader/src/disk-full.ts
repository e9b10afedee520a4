import { HumancastError } from '@humancast/shared';

/**
 * Maps an error of a full disk to `disk_full`; returns any other error unchanged.
 * @param what Names the data, for people.
 */
export function orDiskFull(error: unknown, what: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new HumancastError('disk_full', { detail: `${what} does not fit on the disk`, cause: error });
}
