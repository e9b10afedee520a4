import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRedisInfo, REDIS_INFO_SECTIONS, sumOfRedisInfo } from './redis-info.js';

describe('parseRedisInfo()', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis({ maxmemory: '64mb' });
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });
  const ask = async () => parseRedisInfo(await redis.call('INFO', ...REDIS_INFO_SECTIONS).then(String));

  it('parses the answer of a real Redis', async () => {
    const before = await ask();
    await redis.set('large', Buffer.alloc(2_000_000));
    const after = await ask();
    expect(after.memoryBytes - before.memoryBytes).toBeGreaterThan(1_900_000);
    expect(after).toMatchObject({ memoryLimitBytes: 64 * 2 ** 20, clients: 1, evictedKeys: 0, diskOk: true });
  });

  it('returns limit 0 without maxmemory', async () => {
    await redis.config('SET', 'maxmemory', '0');
    expect((await ask()).memoryLimitBytes).toBe(0);
  });

  it('reports a failed write to disk', () => {
    const lines = (status: string) => `aof_enabled:1\r\naof_last_write_status:${status}\r\n`;
    expect(parseRedisInfo(lines('ok')).diskOk).toBe(true);
    expect(parseRedisInfo(lines('err')).diskOk).toBe(false);
  });

  it('sums the nodes of a cluster', () => {
    const node = { memoryBytes: 1, memoryLimitBytes: 10, clients: 2, evictedKeys: 3, diskOk: true };
    expect(sumOfRedisInfo([node, { ...node, evictedKeys: 4, diskOk: false }])).toEqual({
      memoryBytes: 2,
      memoryLimitBytes: 20,
      clients: 4,
      evictedKeys: 7,
      diskOk: false,
    });
  });

  it('treats missing fields as 0', () => {
    expect(parseRedisInfo('# Memory\r\nused_memory:12\r\nmaxmemory_human:0B\r\n')).toEqual({
      memoryBytes: 12,
      memoryLimitBytes: 0,
      clients: 0,
      evictedKeys: 0,
      diskOk: true,
    });
  });
});
