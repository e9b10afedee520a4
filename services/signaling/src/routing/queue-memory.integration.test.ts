import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { QueueMemory } from './queue-memory.js';

const WAIT = { timeout: 10_000, interval: 20 };

function rejection(queueMemory: QueueMemory): unknown {
  try {
    queueMemory.require();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('QueueMemory', () => {
  let server: TestRedis;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  it('admits below nine tenths of maxmemory or without a limit, and rejects above', async () => {
    const queueMemory = new QueueMemory(redis);
    const settles = (expected: unknown) => vi.waitFor(() => expect(rejection(queueMemory)).toEqual(expected), WAIT);
    await settles(undefined);
    await redis.config('SET', 'maxmemory', '64mb');
    await settles(undefined);
    // Not by one large argument, which would be in memory twice at first.
    await redis.setrange('large', 20 * 2 ** 20, 'x');
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
    await redis.config('SET', 'maxmemory', String(Math.round(used / 0.93)));
    await settles(expect.objectContaining({ code: 'unavailable', retryAfterSeconds: 5 }));
    // The rest is reserved for work that frees memory.
    expect(await redis.set('job', 'x')).toBe('OK');
    await redis.del('large');
    await settles(undefined);
  });
});
