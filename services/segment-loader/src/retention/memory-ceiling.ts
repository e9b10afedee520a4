import { mastersOf, type Redis } from '@humancast/shared';

/** Share of `maxmemory` for segments; the rest is for Redis's overhead and for loads in progress. */
const SHARE_OF_MAXMEMORY = 0.8;

/** @returns The quota for segments in bytes: the setting, or a share of Redis's `maxmemory`; 0 if neither is set. */
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
