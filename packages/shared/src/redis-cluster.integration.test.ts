import { startRedisCluster, type TestRedisCluster } from '@humancast/testkit';
import { Queue, Worker } from 'bullmq';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  liveStoreSuite,
  mailboxSuite,
  mediaStoreSuite,
  redisMailboxHarness,
  rewriteManifest,
} from '../testing/index.js';
import { BULL_PREFIX, keys } from './keys.js';
import { createLogger } from './log.js';
import { RedisLiveReader, RedisLiveWriter } from './media/redis-live-store.js';
import { RedisMediaStore } from './media/redis-media-store.js';
import { newId } from './new-id.js';
import { bullConnection, connectRedis, connectSubscriber, mastersOf, type Redis } from './redis.js';
import { SessionRegistry } from './sessions/session-registry.js';
import { StreamFeed } from './stream-feed.js';

const logger = createLogger('test', 'silent');

const connect = (url: string, waitForReconnect = false) =>
  connectRedis(url, { name: 'test', logger, waitForReconnect });

/** @returns All keys on all nodes. */
async function allKeys(redis: Redis): Promise<string[]> {
  return (await Promise.all(mastersOf(redis).map((server) => server.keys('*')))).flat();
}

async function passTime(redis: Redis, seconds: number): Promise<void> {
  for (const key of await allKeys(redis)) {
    const leftMs = await redis.pttl(key);
    if (leftMs >= 0) await redis.pexpire(key, leftMs - seconds * 1000);
  }
}

mediaStoreSuite('RedisMediaStore on a cluster', async ({ limitBytes }) => {
  const cluster = await startRedisCluster();
  const redis = connect(cluster.url);
  for (const url of limitBytes === undefined ? [] : cluster.nodes.map(({ url }) => url)) {
    const server = connect(url);
    await server.config('SET', 'maxmemory', limitBytes ?? 0);
    server.disconnect();
  }
  return {
    store: new RedisMediaStore(redis),
    passTime: (seconds) => passTime(redis, seconds),
    async loseGop(segment, rendition, index) {
      await redis.unlink(keys.gop(segment, rendition, index));
    },
    rewrite: (manifest, changes) => rewriteManifest(redis, manifest, changes),
    async close() {
      redis.disconnect();
      await cluster.stop();
    },
  };
});

liveStoreSuite('RedisLiveStore on a cluster', async () => {
  const cluster = await startRedisCluster();
  const redis = connect(cluster.url);
  const subscriber = connectSubscriber(cluster.url, { name: 'subscriber', logger });
  return {
    writer: new RedisLiveWriter(redis),
    reader: new RedisLiveReader(redis, new StreamFeed(subscriber, logger)),
    passTime: (seconds) => passTime(redis, seconds),
    async disconnectReader() {
      await Promise.all(mastersOf(redis).map((server) => server.call('CLIENT', 'KILL', 'TYPE', 'pubsub')));
    },
    async close() {
      subscriber.disconnect();
      redis.disconnect();
      await cluster.stop();
    },
  };
});

mailboxSuite('RedisMailbox on a cluster', async () =>
  redisMailboxHarness(await startRedisCluster({ appendOnly: true })),
);

describe('a Redis Cluster', () => {
  let cluster: TestRedisCluster;
  let redis: Redis;
  beforeAll(async () => {
    cluster = await startRedisCluster();
    redis = connect(cluster.url, true);
  });
  afterAll(async () => {
    redis.disconnect();
    await cluster.stop();
  });

  it('stores sessions on all nodes, and lists them together', async () => {
    const registry = new SessionRegistry(redis);
    const ids = Array.from({ length: 30 }, () => newId('ses'));
    for (const id of ids) await registry.create(id, 'demo');
    expect((await registry.list()).map(({ id }) => id).sort()).toEqual([...ids].sort());
    const held = await Promise.all(mastersOf(redis).map((server) => server.dbsize()));
    expect(held).toHaveLength(3);
    expect(Math.min(...held)).toBeGreaterThan(0);
  });

  it('places viewers of a session on any node', async () => {
    const registry = new SessionRegistry(redis);
    const [sender, other] = [newId('snd'), newId('snd')];
    for (const id of Array.from({ length: 10 }, () => newId('ses'))) {
      await registry.create(id, 'demo');
      const viewers = Array.from({ length: 4 }, () => newId('vw'));
      for (const viewer of viewers) await registry.putViewer(id, viewer, 'sig_a', { limit: 5 });
      for (const viewer of viewers)
        expect(await registry.placeViewer(id, viewer, 1, sender)).toMatchObject({ placed: true });
      expect(await registry.placedViewers(id, sender)).toHaveLength(4);
      expect(await registry.unplaceViewers(id, sender)).toMatchObject({ viewers: 4 });
      // Being placed elsewhere is another attempt.
      for (const viewer of viewers) await registry.placeViewer(id, viewer, 2, other);
      expect(await registry.end(id, 'deleted')).toMatchObject({ ended: true, followers: [other] });
    }
  });

  it('carries BullMQ jobs in order', async () => {
    const connection = bullConnection(cluster.url, 'test', redis);
    const queue = new Queue<number>('work', { connection, prefix: BULL_PREFIX });
    const done: number[] = [];
    const { promise: all, resolve } = Promise.withResolvers<void>();
    const worker = new Worker<number>(
      'work',
      async ({ data }) => {
        if (done.push(data) === 20) resolve();
      },
      { connection, prefix: BULL_PREFIX },
    );
    await queue.addBulk(Array.from({ length: 20 }, (_, data) => ({ name: 'n', data })));
    await all;
    expect(done).toEqual(Array.from({ length: 20 }, (_, n) => n));
    await worker.close();
    await queue.close();
  });

  it('fails at once what needs a missing node, and continues when that is back', async () => {
    const caller = connect(cluster.url);
    const names = Array.from({ length: 30 }, (_, i) => `{${i}}`);
    await Promise.all(names.map((name) => caller.set(name, '1')));
    const [, second] = cluster.nodes;
    await second?.kill();
    const answers = await Promise.allSettled(names.map((name) => caller.get(name)));
    const rejected = answers.filter(({ status }) => status === 'rejected');
    expect(rejected.length).toBeGreaterThan(0);
    expect(rejected.length).toBeLessThan(names.length);
    await second?.restart();
    await expect
      .poll(
        () =>
          Promise.all(names.map((name) => caller.set(name, '2'))).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    caller.disconnect();
  });

  it('distinguishes a wrong password from an unreachable cluster', async () => {
    const stranger = connect(cluster.url.replace('://', '://somebody:wrong@'));
    const failure = await new Promise<Error>((resolve) => stranger.once('error', resolve));
    expect(failure.message).toMatch(/slots cache|WRONGPASS/);
    stranger.disconnect();
  });
});
