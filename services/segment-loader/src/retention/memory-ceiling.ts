import { mastersOf, type Redis } from '@humancast/shared';

/** Of Redis's own ceiling, what segments may take: the rest is for what Redis adds, and for what is just being loaded. */
const SHARE_OF_MAXMEMORY = 0.8;

/** What segments may take up: what the setting says, or else a share of Redis's `maxmemory`; 0 where that has none. Bytes. */
export async function quotaBytes(settingBytes: number, redis: Redis): Promise<number> {
  if (settingBytes > 0) return settingBytes;
  const ceilings = await Promise.all(mastersOf(redis).map(async (node) => ceilingOf(await node.info('memory'))));
  if (ceilings.includes(0)) return 0;
  return Math.floor(ceilings.reduce((sum, bytes) => sum + bytes, 0) * SHARE_OF_MAXMEMORY);
}

function ceilingOf(info: string): number {
  const [, maxmemory = '0'] = /^maxmemory:(\d+)/m.exec(info) ?? [];
  return Number(maxmemory);
}
