import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../ids.js';
import { keys } from '../keys.js';
import { SenderRegistry } from './sender-registry.js';
import type { SenderRecord } from './session.js';

describe('SenderRegistry', () => {
  let server: TestRedis;
  let redis: Redis;
  let senders: SenderRegistry;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
    senders = new SenderRegistry(redis);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  const record = (): SenderRecord => {
    const id = newId('snd');
    const load = { sessions: 0, capacity: 4, viewers: 0, draining: false, accepting: true };
    return { id, mailbox: id, ...load, startedAtMs: 1, hostname: 'here' };
  };

  it('knows who gave no sign of life in time', async () => {
    const [alive, dead] = [record(), record()];
    await senders.beat(alive, 60_000);
    await senders.beat(dead, 60_000);
    await redis.del(keys.sender(dead.id));
    expect(await senders.vanished()).toEqual([dead.id]);
  });

  it('list() has a sender whose record another version wrote, alive and without a record, beside the others', async () => {
    const [known, later] = [record(), record()];
    await senders.beat(known, 60_000);
    await senders.beat(later, 60_000);
    await redis.set(keys.sender(later.id), JSON.stringify({ ...later, v: 2 }), 'PX', 60_000);
    const list = await senders.list();
    expect(list.find(({ id }) => id === known.id)?.record).toEqual(known);
    expect(list.find(({ id }) => id === later.id)).toEqual({ id: later.id, record: undefined });
    expect(await senders.vanished()).not.toContain(later.id);
  });

  it('lets who lives go on living while Redis is full, and nobody new', async () => {
    const [known, unknown] = [record(), record()];
    await senders.beat(known, 60_000);
    await redis.config('SET', 'maxmemory', '1');
    await expect(senders.beat(known, 120_000)).resolves.toBeUndefined();
    await expect(senders.beat(unknown, 120_000)).rejects.toThrow('OOM');
    await redis.config('SET', 'maxmemory', '0');
    expect(await redis.pttl(keys.sender(known.id))).toBeGreaterThan(60_000);
  });
});
