import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { keys, senderChannel } from '../keys.js';
import { newId } from '../new-id.js';
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
    const load = { sessions: 0, capacity: 4, viewers: 0, viewerCapacity: 0, draining: false, accepting: true };
    return { id, mailbox: id, ...load, startedAtMs: 1, hostname: 'here' };
  };

  const LEASE_MS = 60_000;
  /** Simulates the expiry of the last heartbeat. */
  const expireHeartbeat = (id: string) => redis.del(keys.sender(id));

  it('liveness() reports a missing heartbeat after a third of a lease', async () => {
    const [alive, late, dead] = [record(), record(), record()];
    for (const one of [alive, late, dead]) await senders.beat(one, LEASE_MS);
    await redis.pexpire(keys.sender(late.id), LEASE_MS * 0.6);
    await expireHeartbeat(dead.id);
    const liveness = await senders.liveness([alive.id, late.id, dead.id]);
    expect([...liveness.values()].map(({ overdue }) => overdue)).toEqual([false, true, true]);
  });

  it('list() includes a live sender without its record if another version wrote that', async () => {
    const [known, later] = [record(), record()];
    await senders.beat(known, LEASE_MS);
    await senders.beat(later, LEASE_MS);
    await redis.set(keys.sender(later.id), JSON.stringify({ ...later, v: 2 }), 'PX', LEASE_MS);
    const list = await senders.list();
    expect(list.find(({ id }) => id === known.id)?.record).toEqual(known);
    expect(list.find(({ id }) => id === later.id)).toEqual({ id: later.id, record: undefined });
    expect((await senders.liveness([later.id])).get(later.id)?.overdue).toBe(false);
  });

  it('sample() returns at most as many living senders, each once', async () => {
    const all = [record(), record(), record()];
    for (const one of all) await senders.beat(one, LEASE_MS);
    await redis.del(keys.sender(all[2]?.id ?? ''));
    expect(await senders.sample(1)).not.toHaveLength(2);
    const ids = (await senders.sample(1000)).map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining([all[0]?.id, all[1]?.id]));
    expect(ids).not.toContain(all[2]?.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('liveness() reports a closed process connection at once', async () => {
    const watched = record();
    const presence = redis.duplicate();
    await presence.subscribe(senderChannel(watched.id));
    await senders.beat(watched, LEASE_MS, true);
    const isOverdue = async () => (await senders.liveness([watched.id])).get(watched.id)?.overdue;
    expect(await isOverdue()).toBe(false);
    presence.disconnect();
    await vi.waitFor(async () => expect(await isOverdue()).toBe(true));
  });

  it('condemn() fails if the sender has sent a heartbeat since it was suspected', async () => {
    const sender = record();
    await senders.beat(sender, LEASE_MS);
    const suspicion = await senders.suspect(sender.id, 'first');
    expect(await senders.suspect(sender.id, 'second')).toBe(suspicion);
    expect(await senders.beat(sender, LEASE_MS)).toBe(true);
    await expireHeartbeat(sender.id);
    expect(await senders.condemn(sender.id, suspicion)).toBe(false);
    const next = await senders.suspect(sender.id, 'third');
    expect(next).toBe('third');
    expect(await senders.condemn(sender.id, next)).toBe(true);
    expect(await senders.condemn(sender.id, next)).toBe(true);
  });

  it('beat() reports an interrupted lease to a sender that was condemned or forgotten', async () => {
    const sender = record();
    expect(await senders.beat(sender, LEASE_MS)).toBe(false);
    expect(await senders.beat(sender, LEASE_MS)).toBe(true);
    await expireHeartbeat(sender.id);
    await senders.condemn(sender.id, await senders.suspect(sender.id, 'a'));
    expect(await senders.beat(sender, LEASE_MS)).toBe(false);
    expect(await senders.forgetCondemned(sender.id)).toBe(false);
    await expireHeartbeat(sender.id);
    await senders.condemn(sender.id, await senders.suspect(sender.id, 'b'));
    expect(await senders.forgetCondemned(sender.id)).toBe(true);
    expect(await senders.known()).not.toContain(sender.id);
    expect(await senders.beat(sender, LEASE_MS)).toBe(false);
    expect(await senders.known()).toContain(sender.id);
  });

  it('beat() and condemn() work while Redis is full', async () => {
    const [known, fresh, dead] = [record(), record(), record()];
    await senders.beat(known, LEASE_MS);
    await senders.beat(dead, LEASE_MS);
    await expireHeartbeat(dead.id);
    await redis.config('SET', 'maxmemory', '1');
    try {
      expect(await senders.beat(known, LEASE_MS)).toBe(true);
      expect(await senders.condemn(dead.id, await senders.suspect(dead.id, 'a'))).toBe(true);
      expect(await senders.forgetCondemned(dead.id)).toBe(true);
      // The sender that takes over may have to start first.
      await expect(senders.beat(fresh, LEASE_MS)).resolves.toBe(false);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    expect(await senders.known()).toContain(fresh.id);
  });
});
