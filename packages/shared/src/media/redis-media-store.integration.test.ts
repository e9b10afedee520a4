import { startRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { mediaStoreSuite, rewriteManifest } from '../../testing/index.js';
import { keys } from '../keys.js';
import { RedisMediaStore } from './redis-media-store.js';

mediaStoreSuite('RedisMediaStore', async ({ limitBytes }) => {
  const server = await startRedis({
    policy: 'volatile-lru',
    ...(limitBytes === undefined ? {} : { maxmemory: String(limitBytes) }),
  });
  const redis = new Redis(server.url);
  return {
    store: new RedisMediaStore(redis),
    async passTime(seconds) {
      for (const key of await redis.keys('*')) {
        const leftMs = await redis.pttl(key);
        if (leftMs >= 0) await redis.pexpire(key, leftMs - seconds * 1000);
      }
    },
    async loseGop(segment, rendition, index) {
      await redis.unlink(keys.gop(segment, rendition, index));
    },
    rewrite: (manifest, changes) => rewriteManifest(redis, manifest, changes),
    async close() {
      redis.disconnect();
      await server.stop();
    },
  };
});
