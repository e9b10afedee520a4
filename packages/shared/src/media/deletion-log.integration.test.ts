import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keys } from '../keys.js';
import { DeletionLog } from './deletion-log.js';

describe('DeletionLog', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  beforeEach(() => redis.flushall());
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  it('returns to each reader what was appended since its last call, and nothing before its first', async () => {
    const [writer, early, late] = [new DeletionLog(redis), new DeletionLog(redis), new DeletionLog(redis)];
    expect(await early.next()).toEqual({ segments: [], gap: false });
    await writer.append(['seg_a', 'seg_b']);
    expect(await late.next()).toEqual({ segments: [], gap: false });
    await writer.append(['seg_c']);
    expect(await early.next()).toEqual({ segments: ['seg_a', 'seg_b', 'seg_c'], gap: false });
    expect(await late.next()).toEqual({ segments: ['seg_c'], gap: false });
    expect(await late.next()).toEqual({ segments: [], gap: false });
  });

  it('reports a gap when its position is gone, and continues from there', async () => {
    const [writer, reader] = [new DeletionLog(redis), new DeletionLog(redis)];
    await writer.append(['seg_a']);
    await reader.next();
    await redis.del(keys.deletions);
    expect(await reader.next()).toEqual({ segments: [], gap: true });
    await writer.append(['seg_b']);
    expect(await reader.next()).toEqual({ segments: ['seg_b'], gap: false });
  });

  it('keeps a bounded number of entries, skips unknown ones, and reads many in several steps', async () => {
    const [writer, reader] = [new DeletionLog(redis), new DeletionLog(redis)];
    await reader.next();
    await redis.xadd(keys.deletions, '*', 's', '{"v":2}');
    const ids = Array.from({ length: 25_000 }, (_, i) => `seg_${i}`);
    await writer.append(ids);
    const read: string[] = [];
    for (let step = 0; step < 5; step++) read.push(...(await reader.next()).segments);
    expect(read).toEqual(ids);
    for (let i = 0; i < 1500; i++) await writer.append([`seg_x${i}`]);
    expect(await redis.xlen(keys.deletions)).toBeLessThan(1200);
  });

  it('append() works while Redis is full, because deleting releases memory', async () => {
    const reader = new DeletionLog(redis);
    await reader.next();
    await redis.config('SET', 'maxmemory', '1');
    try {
      await expect(redis.set('anything', '1')).rejects.toThrow(/OOM/);
      await new DeletionLog(redis).append(['seg_a']);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    expect((await reader.next()).segments).toEqual(['seg_a']);
  });
});
