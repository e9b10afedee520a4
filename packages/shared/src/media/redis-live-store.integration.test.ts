import { startRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { liveStoreSuite } from '../../testing/index.js';
import { createLogger } from '../log.js';
import { connectRedis } from '../redis.js';
import { StreamFeed } from '../stream-feed.js';
import { RedisLiveReader, RedisLiveWriter } from './redis-live-store.js';

liveStoreSuite('RedisLiveStore', async () => {
  const server = await startRedis();
  const logger = createLogger('test', 'silent');
  const redis = new Redis(server.url);
  const subscriber = connectRedis(server.url, { name: 'subscriber', logger, waitForReconnect: true });
  return {
    writer: new RedisLiveWriter(redis),
    reader: new RedisLiveReader(redis, new StreamFeed(subscriber, logger)),
    async passTime(seconds) {
      for (const key of await redis.keys('*')) {
        const leftMs = await redis.pttl(key);
        if (leftMs >= 0) await redis.pexpire(key, leftMs - seconds * 1000);
      }
    },
    async disconnectReader() {
      await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    },
    async close() {
      subscriber.disconnect();
      redis.disconnect();
      await server.stop();
    },
  };
});
